"""QSSE: squeeze-and-excitation of a query's and a scene's feature maps by the global context of both."""

from __future__ import annotations

import torch
from einops import rearrange
from torch import Tensor, nn


class QSSE(nn.Module):
    """One weight per channel, from what the query's picture and the scene hold on average, for both.

    From the two global averages, concatenated (2c), through a bottleneck of 2c / `reduction` channels (at
    least 8), to c weights in 0…1 that re-weight the maps of both. Only that it sits between the layers, sees
    both pictures whole and re-weights both is public; concatenation and one set of weights for both are our
    reading of Munjal et al. 2019, fig. 2, after Hu et al. 2018. bias: what the weights start from, as a
    logit, 4 being near one; None: the default start of a linear layer, near one half, as the authors let new
    layers start.
    """

    def __init__(self, channels: int, *, reduction: int = 16, bias: float | None = None) -> None:
        super().__init__()
        self.squeeze = nn.Linear(2 * channels, max(2 * channels // reduction, 8))
        self.excite = nn.Linear(self.squeeze.out_features, channels)
        if bias is not None:
            nn.init.constant_(self.excite.bias, bias)

    def forward(self, scene: Tensor, query: Tensor) -> Tensor:
        """Maps (b, c, h, w) and (b, c, h', w') -> channel weights (b, c, 1, 1)."""
        contexts = torch.cat([scene.mean(dim=(2, 3)), query.mean(dim=(2, 3))], dim=1)
        weights = self.excite(self.squeeze(contexts).relu()).sigmoid()
        return rearrange(weights, "b c -> b c 1 1")
