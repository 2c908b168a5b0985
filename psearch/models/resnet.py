"""torchvision's ResNets as C4 backbones: conv1 to layer3 for scenes, layer4 for regions."""

from __future__ import annotations

from typing import Any

from torch import nn
from torchvision.models import get_model
from torchvision.models.resnet import ResNet

from psearch.models.backbone import Backbone
from psearch.models.pretrained import from_torchvision, frozen
from psearch.models.weights import Source
from psearch.types import Tap

EXPANSION = {18: 1, 34: 1, 50: 4}
"""Depth -> channels of a block's output over those of its inner convolutions."""


def _slim(network: ResNet, width: float) -> ResNet:
    """The same network with every convolution and normalisation at `width` times its channels."""
    for parent in list(network.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, nn.Conv2d):
                channels = 3 if child.in_channels == 3 else int(child.in_channels * width)
                shape: Any = {name: getattr(child, name) for name in ("kernel_size", "stride", "padding")}
                slim: nn.Module = nn.Conv2d(channels, int(child.out_channels * width), bias=False, **shape)
                nn.init.kaiming_normal_(next(slim.parameters()), mode="fan_out", nonlinearity="relu")
            elif isinstance(child, nn.BatchNorm2d):
                slim = nn.BatchNorm2d(int(child.num_features * width))
            else:
                continue
            setattr(parent, name, slim)
    return network


class ResNetC4(Backbone):
    """ResNet-18, 34 or 50 (He et al. 2016) split as in C4 Faster R-CNN and OIM (Xiao et al. 2017).

    width: multiplies every channel count. weights: of ImageNet by name (only at width 1), or a file.
    frozen_norm: BatchNorm keeps the statistics of these weights. frozen_stem: the first convolution and its
    norm's affine numbers are not trained, as in SeqNet and NAE, whose other norms all are.
    Raises ValueError for a depth torchvision lacks, and for a norm that is frozen before it learnt.
    """

    region_size = (14, 14)
    region_map = (7, 7)

    def __init__(
        self,
        *,
        depth: int,
        width: float = 1.0,
        weights: Source = None,
        frozen_norm: bool = False,
        frozen_stem: bool = False,
    ) -> None:
        super().__init__()
        if depth not in EXPANSION:
            raise ValueError(f"depth={depth} is no known ResNet; choose from {sorted(EXPANSION)}")
        if width != 1.0 and isinstance(weights, str) and weights.startswith("imagenet"):
            raise ValueError(f"weights={weights} exist at width=1 only: set weights=none, or a file")
        network: Any = get_model(f"resnet{depth}")
        if width != 1.0:
            network = _slim(network, width)
        if frozen_norm:
            network = frozen(network, weights)
        self.stem = nn.Sequential(network.conv1, network.bn1, network.relu, network.maxpool)
        self.stem.requires_grad_(not frozen_stem)
        self.c2, self.c3, self.c4, self.head = network.layer1, network.layer2, network.layer3, network.layer4
        channels = [int(c * width * EXPANSION[depth]) for c in (64, 128, 256, 512)]
        self.taps = {
            name: Tap(c, stride)
            for name, c, stride in zip(("c2", "c3", "c4"), channels, (4, 8, 16), strict=False)
        }
        self.region_channels = channels[3]
        self.weights, self.origin = weights, from_torchvision(f"resnet{depth}", self, network)
