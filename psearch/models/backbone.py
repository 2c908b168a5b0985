"""What a person-search network is built on: a trunk for scenes and a head for regions."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torchvision.models import get_model, get_model_weights
from torchvision.ops import FrozenBatchNorm2d

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
    stage, where there is such a child.
    """

    taps: Mapping[str, Tap]
    head: nn.Module
    region_size: tuple[int, int]
    region_channels: int
    region_map: tuple[int, int]
    keep_layout: bool = False
    strips: int = 1
    align_samples: int = 2

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


def classifier(name: str, *, pretrained: bool, frozen_norm: bool) -> nn.Module:
    """A classifier of torchvision, by its name there.

    pretrained: ImageNet weights. frozen_norm: BatchNorm keeps its ImageNet statistics, as the published
    recipes do. Raises ValueError for weights that cannot be had, and for a norm that is frozen before it
    learnt.
    """
    if frozen_norm and not pretrained:
        raise ValueError("frozen_norm=true needs pretrained=true: an untrained norm must learn")
    network: nn.Module = _pretrained(name) if pretrained else get_model(name)
    return _frozen(network) if frozen_norm else network


def _pretrained(name: str) -> nn.Module:
    try:
        network: nn.Module = get_model(name, weights=get_model_weights(name).DEFAULT)
        return network
    except OSError as error:
        raise ValueError(
            f"ImageNet weights of {name} cannot be downloaded ({error}); put the file torchvision names into "
            f"{torch.hub.get_dir()}/checkpoints, or train from scratch with "
            "compression.backbone.pretrained=false"
        ) from error


def _frozen(module: nn.Module) -> nn.Module:
    """Replace every BatchNorm by torchvision's FrozenBatchNorm2d with the same numbers."""
    for name, child in module.named_children():
        if isinstance(child, nn.BatchNorm2d):
            fixed = FrozenBatchNorm2d(child.num_features, eps=child.eps)
            fixed.load_state_dict(child.state_dict(), strict=False)
            setattr(module, name, fixed)
        else:
            _frozen(child)
    return module
