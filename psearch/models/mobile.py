"""torchvision's small networks as C4 backbones: up to stride 16 for scenes, the rest for regions."""

from __future__ import annotations

from typing import Any, NamedTuple

from torch import nn
from torchvision.models import get_model

from psearch.models.backbone import Backbone
from psearch.models.pretrained import from_torchvision, frozen
from psearch.models.weights import Source
from psearch.types import Tap


class Cut(NamedTuple):
    """Where a network is cut: the first layer of `features` after each of c2, c3, c4, and their channels;
    `head`: channels of its last layer."""

    after: tuple[int, int, int]
    channels: tuple[int, int, int]
    head: int


CUTS = {
    "mobilenet_v2": Cut((4, 7, 14), (24, 32, 96), 1280),
    "mobilenet_v3_large": Cut((4, 7, 13), (24, 40, 112), 960),
    "efficientnet_b0": Cut((3, 4, 6), (24, 40, 112), 1280),
}


class MobileC4(Backbone):
    """MobileNetV2 (Sandler et al. 2018), MobileNetV3-Large (Howard et al. 2019) or EfficientNet-B0 (Tan and
    Le 2019), cut as ResNets are in C4 Faster R-CNN: taps c2, c3, c4 at strides 4, 8, 16, and what follows c4
    as region head.

    name: torchvision's. weights: of ImageNet by name, or a file. frozen_norm: BatchNorm keeps their
    statistics. Raises ValueError for other names, and for a norm that is frozen before it learnt.
    """

    region_size = (14, 14)
    region_map = (7, 7)

    def __init__(self, *, name: str, weights: Source = None, frozen_norm: bool = False) -> None:
        super().__init__()
        if name not in CUTS:
            raise ValueError(f"name={name} is no known small network; choose from {', '.join(CUTS)}")
        network: Any = get_model(name)
        if frozen_norm:
            network = frozen(network, weights)
        cut, layers = CUTS[name], list(network.features)
        starts = (0, *cut.after)
        self.c2, self.c3, self.c4 = (
            nn.Sequential(*layers[start:end]) for start, end in zip(starts, cut.after, strict=False)
        )
        self.head = nn.Sequential(*layers[cut.after[-1] :])
        self.taps = {
            tap: Tap(channels, stride)
            for tap, channels, stride in zip(("c2", "c3", "c4"), cut.channels, (4, 8, 16), strict=True)
        }
        self.region_channels = cut.head
        self.weights, self.origin = weights, from_torchvision(name, self, network)
