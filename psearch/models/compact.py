"""Small residual backbones that train from scratch on a laptop CPU."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn
from torchvision.models.resnet import BasicBlock

from psearch.models.backbone import Backbone
from psearch.models.weights import Source
from psearch.types import Tap


def _block(channels: int, out: int, stride: int) -> nn.Sequential:
    shortcut = None
    if stride != 1 or channels != out:
        shortcut = nn.Sequential(nn.Conv2d(channels, out, 1, stride, bias=False), nn.BatchNorm2d(out))
    return nn.Sequential(BasicBlock(channels, out, stride, shortcut))


class Compact(Backbone):
    """A stem, three residual stages at strides 4, 8, 8 and a residual region head.

    widths: channels of stem, the three stages and the head; multiples of 16 (other counts can be
    pathologically slow on a CPU). region_size: bins that RoIAlign cuts; the head halves them. weights: a file
    to start from.
    Source: our own; the size is what trains from scratch in minutes on one core.
    """

    keep_layout = True
    align_samples = 1

    def __init__(
        self,
        *,
        widths: Sequence[int],
        region_size: Sequence[int] = (8, 4),
        strips: int = 4,
        weights: Source = None,
    ) -> None:
        super().__init__()
        if len(widths) != 5:
            raise ValueError(f"widths needs 5 numbers (stem, three stages, head), got {list(widths)}")
        stem, two, three, four, five = widths
        self.stem = nn.Sequential(
            nn.Conv2d(3, stem, 3, 2, 1, bias=False), nn.BatchNorm2d(stem), nn.ReLU(inplace=True)
        )
        self.c2 = _block(stem, two, 2)
        self.c3 = _block(two, three, 2)
        self.c4 = _block(three, four, 1)
        self.head = _block(four, five, 2)
        self.taps = {"c2": Tap(two, 4), "c3": Tap(three, 8), "c4": Tap(four, 8)}
        height, width = region_size
        self.region_size = (height, width)
        self.region_channels, self.strips, self.weights = five, strips, weights
        self.region_map = ((height + 1) // 2, (width + 1) // 2)
