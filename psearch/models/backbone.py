"""What a person-search network is built on: a trunk for scenes and a head for regions."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from psearch.models import pretrained
from psearch.models.weights import Source
from psearch.types import Tap


class Backbone(nn.Module):
    """A trunk that turns images into named feature maps, and a head that turns cut-out regions of the
    last of them into region features (the "conv5" of a C4 Faster R-CNN).

    taps: name -> Tap, in the order of computation; the last one feeds proposals and regions.
    region_size: (height, width) in bins that RoIAlign cuts. region_channels and region_map: channels and
    (height, width) of what `head` returns for one region. keep_layout: box branches see the region map
    flattened (small networks need the layout) instead of averaged (the published C4 recipe).
    strips: horizontal strips of the region map that the embedding sees apart: 1 for the whole, as published;
    more keep head, body and legs apart, as in PCB (Sun et al. 2018).
    align_samples: sampling points per bin side of RoIAlign. stem: what comes before the first
    stage, where there is such a child. weights: where its first weights come from, and origin: the network it
    was cut from, if any; see `psearch.models.pretrained`.
    """

    taps: Mapping[str, Tap]
    head: nn.Module
    region_size: tuple[int, int]
    region_channels: int
    region_map: tuple[int, int]
    keep_layout: bool = False
    strips: int = 1
    align_samples: int = 2
    weights: Source = None
    origin: pretrained.Origin | None = None

    def begin(self) -> None:
        """Asked of a backbone whose training starts, not of one that is restored: take the first weights.
        ValueError if they cannot be had or do not fit."""
        pretrained.begin(self, self.weights, self.origin)

    @property
    def tap(self) -> str:
        """Name of the feature map that proposals and regions read."""
        return list(self.taps)[-1]

    def advance(self, tap: str, below: Tensor) -> Tensor:
        """One stage of the trunk: the map of the tap before, or the images -> the map of `tap`. By default
        the child of that name, the first one after `stem`."""
        stem = getattr(self, "stem", None)
        if stem is not None and tap == next(iter(self.taps)):
            below = stem(below)
        maps: Tensor = getattr(self, tap)(below)
        return maps

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Images (b, 3, h, w), normalised -> tap name -> (b, c, h / stride, w / stride)."""
        maps: dict[str, Tensor] = {}
        for tap in self.taps:
            maps[tap] = images = self.advance(tap, images)
        return maps
