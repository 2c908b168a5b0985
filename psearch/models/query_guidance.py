"""The three parts through which QEEPS depends on the query: QSSE, QRPN, QSimNet (Munjal et al., CVPR
2019)."""

from __future__ import annotations

import torch
from einops import rearrange
from torch import Tensor, nn


class QSSE(nn.Module):
    """Squeeze-and-excitation of a query's and a scene's feature maps by the global context of both: one
    weight per channel, from the averages of the query's picture and the scene, for both.

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
        """Global contexts (b, c) and (b, c), see `masked_mean` -> channel weights (b, c, 1, 1)."""
        contexts = torch.cat([scene, query], dim=1)
        weights = self.excite(self.squeeze(contexts).relu()).sigmoid()
        result: Tensor = rearrange(weights, "b c -> b c 1 1")
        return result


class QRPN(nn.Module):
    """Scores the anchors of the proposal network for "the query's person is here".

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
        hidden = self.conv(scene * rearrange(weights, "b c -> b c 1 1")).relu()
        logits: Tensor = rearrange(self.objectness(hidden), "b a h w -> b (h w a)")
        return logits


class QSimNet(nn.Module):
    """Squared difference, batch normalisation, one linear layer (our reading of Munjal et al. 2019; that it
    goes from the two embeddings to a similarity with a loss of its own is public).

    Unit embeddings lie so near each other that their squared differences are tiny: hence the norm.
    """

    def __init__(self, embedding: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(embedding)
        self.similarity = nn.Linear(embedding, 1)

    def forward(self, queries: Tensor, embeddings: Tensor) -> Tensor:
        """Two (N, d), row by row -> (N,) logits."""
        differences = self.norm((queries - embeddings).square())
        logits: Tensor = rearrange(self.similarity(differences), "n 1 -> n")
        return logits


def valid_ratio(images: Tensor) -> Tensor:
    """Share of height and width (b, 2) that the picture takes in padded images (b, 3, h, w), DETR's word:
    padding lies at the right and bottom and is exactly zero, which no normalised pixel is."""
    valid = (images != 0).any(dim=1)
    return torch.stack([_last(valid.any(dim=2)), _last(valid.any(dim=1))], dim=1)


def masked_mean(maps: Tensor, ratio: Tensor) -> Tensor:
    """Mean over the picture's part of maps (b, c, h, w), given its `valid_ratio` (b, 2) -> (b, c)."""
    rows, columns = (_within(size, part) for size, part in zip(maps.shape[-2:], ratio.unbind(1), strict=True))
    inside = (rows[:, :, None] & columns[:, None, :])[:, None]
    return (maps * inside).sum(dim=(2, 3)) / inside.sum(dim=(2, 3))


def _last(mask: Tensor) -> Tensor:
    """(b, n) bool -> (b,) share of the places up to the last that is true; all, if none is."""
    places = torch.arange(1, mask.shape[1] + 1, device=mask.device)
    last = (mask * places).amax(dim=1)
    return torch.where(last > 0, last, mask.shape[1]) / mask.shape[1]


def _within(size: int, share: Tensor) -> Tensor:
    """(b, size) bool: the places that a picture of that share reaches into, at least one."""
    return torch.arange(size, device=share.device) < (share[:, None] * size).clamp(min=1)
