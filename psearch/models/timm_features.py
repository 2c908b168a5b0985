"""A network of timm as it is, for the feature maps of scenes and mean features of boxes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import log2
from typing import Any

from torch import Tensor, nn
from torch.nn.functional import interpolate, normalize

from psearch.models import pretrained
from psearch.models.network import Network, Renormalise
from psearch.models.regions import align
from psearch.models.timm_networks import TimmNetwork, timm_network
from psearch.models.weights import Source
from psearch.types import EVERYTHING, Pick, SearchOutput, Tap

GRID, BINS = 16, (8, 4)
"""Stride of the map that boxes are cut from, and bins of a box that its mean is taken over."""

Taps = Mapping[str, int | Sequence[int]]
"""Name -> stride, or [stride, number of the network's map]."""


class TimmFeatures(Network):
    """Images -> maps at the strides asked for, and embeddings: the mean of the deepest map in each box.

    name: timm's, perhaps with a tag. weights: `timm` (its own), a file, or none. taps: name -> stride, or
    [stride, number of the network's map, from 0, or from the end with -1]: by default the deepest map of each
    of the strides 4, 8 and 16 as c2, c3, c4. A map of another stride is resampled. image_scale: factor of the
    images before the network sees them; at 1 a ViT of other patches than 16 pixels sees them so that patches
    lie 16 pixels apart. options: further arguments of `timm.create_model`. ValueError for what timm or its
    network does not have.
    """

    detects = False

    def __init__(
        self,
        *,
        name: str,
        weights: Source = "timm",
        taps: Taps | None = None,
        image_scale: float = 1.0,
        options: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__()
        if image_scale <= 0:
            raise ValueError(f"image_scale={image_scale}: must be above 0")
        self.key = "teacher.timm"
        network = timm_network(name, options or {}, key=self.key)
        self.module: nn.Module = nn.ModuleList(network.steps) if network.steps else network.module
        self.chain = bool(network.steps)
        self.pixels = Renormalise(network.mean, network.std)
        self.levels, self.channels_last = list(network.levels), network.channels_last
        self.embedding_size = self.levels[-1].channels
        self.chosen = _chosen(network, taps, self.key)
        finest = self.levels[0].stride
        self.patch = 1 if self.chain else finest
        self.scale = image_scale * (1 if self.chain else finest / 2 ** round(log2(finest)))
        self.weights, self.origin = weights, network.origin(self)

    @property
    def taps(self) -> Mapping[str, Tap]:
        """Feature maps it publishes, by name."""
        return {
            name: Tap(self.levels[number].channels, stride) for name, (stride, number) in self.chosen.items()
        }

    def begin(self) -> None:
        """Take the weights. ValueError if they cannot be had or do not fit."""
        pretrained.begin(self, self.weights, self.origin, key=f"{self.key}.weights")

    def forward(self, images: Tensor, pick: Pick, wanted: frozenset[str] = EVERYTHING) -> SearchOutput:
        """Images (b, 3, h, w), normalised; `pick` must return given boxes: this network proposes none."""
        boxes = pick(lambda: [images.new_zeros(0, 4) for _ in images])
        maps, size = self._maps(images), (images.shape[2], images.shape[3])
        features = {name: _at(maps[number], size, stride) for name, (stride, number) in self.chosen.items()}
        embeddings = None
        if "embeddings" in wanted:
            cut = align(_at(maps[-1], size, GRID), boxes, size=BINS, stride=GRID, samples=2)
            embeddings = normalize(cut.mean(dim=(2, 3)).float(), dim=1)
        return SearchOutput(features=features, boxes=boxes, embeddings=embeddings)

    def _maps(self, images: Tensor) -> list[Tensor]:
        """The network's own maps, one for each level."""
        patch = self.patch
        size = [max(1, round(side * self.scale / patch)) * patch for side in images.shape[2:]]
        images = self.pixels(images)
        if size != list(images.shape[2:]):
            images = interpolate(images, size, mode="bilinear", align_corners=False, antialias=True)
        if not self.chain:
            return list(self.module(images))
        after, maps = {level.after for level in self.levels}, []
        assert isinstance(self.module, nn.ModuleList)
        for number, step in enumerate(self.module, start=1):
            images = step(images)
            if number in after:
                maps.append(images.permute(0, 3, 1, 2) if self.channels_last else images)
            if len(maps) == len(self.levels):
                break
        return maps


def _chosen(network: TimmNetwork, taps: Taps | None, key: str) -> dict[str, tuple[int, int]]:
    """Name -> stride, number of the map."""
    levels = network.levels
    rounded = [2 ** round(log2(level.stride)) for level in levels]
    deepest = {stride: number for number, stride in enumerate(rounded)}
    if taps is None:
        return {f"c{round(log2(s))}": (s, number) for s, number in deepest.items() if 4 <= s <= GRID}
    chosen = {}
    for name, value in taps.items():
        stride, number = (value, None) if isinstance(value, int) else value
        if stride not in (2, 4, 8, GRID):
            raise ValueError(f"{key}.taps.{name}={value}: strides are 2, 4, 8 and {GRID}")
        if number is None:
            number = deepest.get(stride, len(levels) - 1)
        if not -len(levels) <= number < len(levels):
            raise ValueError(f"{key}.taps.{name}={value}: {network.name} has {len(levels)} maps")
        chosen[name] = (stride, number % len(levels))
    return chosen


def _at(maps: Tensor, size: tuple[int, int], stride: int) -> Tensor:
    """A map (b, c, h, w) with a place at every `stride` pixels of images of that size."""
    grid = [side // stride for side in size]
    if list(maps.shape[2:]) == grid:
        return maps
    return interpolate(maps, grid, mode="bilinear", align_corners=False, antialias=True)
