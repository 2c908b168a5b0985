"""QRPN: a second objectness that looks for one person only."""

from __future__ import annotations

from einops import rearrange
from torch import Tensor, nn


class QRPN(nn.Module):
    """Scores the anchors of the proposal network for "the person looked for is here".

    The query's region, averaged, gives one weight per channel of the scene's map (a bottleneck of
    c / `reduction`, at least 8); the re-weighted map goes through a 3x3 and a 1x1 convolution, as in a region
    proposal network. That it runs beside the proposal network, receives the query's region and has scores and
    a loss of its own is public (Munjal et al. 2019, fig. 2); what is inside is our reading. Weights may be
    negative: with a sigmoid, as in squeeze-and-excitation, it did not learn to tell two people of unlike
    colour apart. shapes: anchors per place.
    """

    def __init__(self, channels: int, shapes: int, *, reduction: int = 4) -> None:
        super().__init__()
        hidden = max(channels // reduction, 8)
        self.squeeze, self.excite = nn.Linear(channels, hidden), nn.Linear(hidden, channels)
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)
        self.objectness = nn.Conv2d(channels, shapes, 1)
        nn.init.kaiming_normal_(self.conv.weight, nonlinearity="relu")
        nn.init.normal_(self.objectness.weight, std=0.01)

    def forward(self, scene: Tensor, region: Tensor) -> Tensor:
        """The scene's map (b, c, h, w) and the query's region (b, c, r, s) -> (b, a) logits, in the order of
        the proposal network's anchors."""
        weights = self.excite(self.squeeze(region.mean(dim=(2, 3))).relu())
        looked = self.conv(scene * rearrange(weights, "b c -> b c 1 1")).relu()
        return rearrange(self.objectness(looked), "b a h w -> b (h w a)")
