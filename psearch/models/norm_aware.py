"""The norm-aware embedding (Chen et al., CVPR 2020): its direction says who, its length whether anybody."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import adaptive_max_pool2d

from psearch.models.backbone import Backbone
from psearch.models.regions import DESCRIBED

CLASSES = 2
"""Background and person: box deltas are class-specific, and only the person's are read."""


class BoxHead(nn.Module):
    """Box deltas of a region from its map, averaged or pooled to one vector of `channels`, or laid flat.

    norm: a BatchNorm behind the linear layer, with weights that start near zero, as NAE and SeqNet have it.
    """

    def __init__(self, channels: int, *, norm: bool) -> None:
        super().__init__()
        linear = nn.Linear(channels, 4 * CLASSES)
        nn.init.normal_(linear.weight, std=0.01)
        nn.init.zeros_(linear.bias)
        self.deltas = nn.Sequential(linear, quiet_norm(4 * CLASSES)) if norm else nn.Sequential(linear)

    def forward(self, flat: Tensor) -> Tensor:
        """(N, channels) -> deltas of the person (N, 4)."""
        deltas: Tensor = self.deltas(flat)
        return deltas[:, 4:]


def quiet_norm(features: int) -> nn.BatchNorm1d:
    """A BatchNorm whose weights start near zero, as NAE and SeqNet start all norms behind linear layers."""
    norm = nn.BatchNorm1d(features)
    nn.init.normal_(norm.weight, std=0.01)
    return norm


def pooled(maps: Tensor, backbone_keeps_layout: bool) -> Tensor:
    """Region maps (N, c, h, w) as the box layers read them: the largest value of each channel, or all of them
    for a small network that needs the layout (`Backbone.keep_layout`)."""
    return maps.flatten(1) if backbone_keeps_layout else adaptive_max_pool2d(maps, 1).flatten(1)


def box_channels(backbone: Backbone) -> int:
    """Length of a row of `pooled`."""
    rows, columns = backbone.region_map
    return backbone.region_channels * (rows * columns if backbone.keep_layout else 1)


class NormAwareHead(nn.Module):
    """Embedding, score and box deltas of a region; a head as `psearch.models.regions.RegionHead` is one.

    The embedding is two halves side by side, one of what RoIAlign cut from the trunk's map and one of the
    backbone's head, each max-pooled, projected and normalised over the batch. Its length, through a BatchNorm
    of one channel, is the logit of a person: `box_logits` is (0, logit), whose softmax is the sigmoid of it.
    box_norm: see `BoxHead`. A backbone with `strips` is pooled per strip (our reading; one, as published, for
    every backbone but our own small ones). Source: Chen et al. 2020, section 3, and its public code.
    """

    def __init__(self, backbone: Backbone, *, embedding: int, box_norm: bool = True) -> None:
        super().__init__()
        for name, rows in (("region", backbone.region_size[0]), ("region map", backbone.region_map[0])):
            if rows % backbone.strips:
                raise ValueError(f"strips={backbone.strips} does not divide the {rows} rows of the {name}")
        self.strips, self.keep_layout = backbone.strips, backbone.keep_layout
        halves = {"cut": embedding // 2, "regions": embedding - embedding // 2}
        channels = {"cut": backbone.taps[backbone.tap].channels, "regions": backbone.region_channels}
        self.projectors = nn.ModuleDict(
            {name: self._projector(channels[name] * self.strips, size) for name, size in halves.items()}
        )
        self.rescaler = nn.BatchNorm1d(1)
        self.boxes = BoxHead(box_channels(backbone), norm=box_norm)

    @staticmethod
    def _projector(channels: int, size: int) -> nn.Sequential:
        linear = nn.Linear(channels, size)
        nn.init.normal_(linear.weight, std=0.01)
        nn.init.zeros_(linear.bias)
        return nn.Sequential(linear, quiet_norm(size))

    def forward(self, cut: Tensor, regions: Tensor, wanted: frozenset[str] = DESCRIBED) -> dict[str, Tensor]:
        """As `RegionHead`: cut (N, c, *region_size), regions (N, c', h, w) -> the wanted rows."""
        outputs: dict[str, Tensor] = {}
        if wanted & {"box_logits", "embeddings"}:
            raw = torch.cat([self._project("cut", cut), self._project("regions", regions)], dim=1).float()
            length = raw.norm(dim=1, keepdim=True)
            if "embeddings" in wanted:
                outputs["embeddings"] = raw / length.clamp(min=1e-12)
            if "box_logits" in wanted:
                logit = self.rescaler(length)
                outputs["box_logits"] = torch.cat([torch.zeros_like(logit), logit], dim=1)
        if "box_deltas" in wanted:
            outputs["box_deltas"] = self.boxes(pooled(regions, self.keep_layout))
        return outputs

    def _project(self, name: str, maps: Tensor) -> Tensor:
        projected: Tensor = self.projectors[name](adaptive_max_pool2d(maps, (self.strips, 1)).flatten(1))
        return projected
