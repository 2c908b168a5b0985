"""Batches of person crops, augmented all at once so that a CPU can afford it."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
import torch.nn.functional as F
from einops import rearrange, repeat
from torch import Tensor

from psearch import distributed
from psearch.data.crops import CropBatch, Crops
from psearch.data.loading import draws
from psearch.data.transforms import normalisation


class CropLoader:
    """Iterates over crops as `CropBatch`es, in an order and with variations that depend only on
    (seed, epoch, batch).

    Training: shuffled; `per_identity` > 0 draws batches of batch_size / per_identity identities with
    that many crops of each, every identity equally often. Variations: the window is shifted by up to `shift`
    of the margin and scaled by up to `scale`, mirrored with probability 0.5, its brightness,
    contrast and each colour channel multiplied by 1 ± `colour`, and with probability `erase` a random
    rectangle set to the mean colour (random erasing, Zhong et al. 2020). A last batch of one crop is left
    out: batch normalisation has nothing to compare it with. Without `train`: in order, as cut.
    With several ranks each gets its share of every batch; a last batch of fewer than two crops for each is
    left out. ValueError for a single crop, and if there are not enough identities for a balanced batch.
    """

    def __init__(
        self,
        crops: Crops,
        *,
        batch_size: int,
        seed: int = 0,
        train: bool = True,
        per_identity: int = 0,
        shift: float = 1.0,
        scale: float = 0.1,
        flip: float = 0.5,
        colour: float = 0.2,
        erase: float = 0.5,
    ) -> None:
        self.crops, self.batch_size, self.seed, self.train = crops, batch_size, seed, train
        self.per_identity = per_identity if train else 0
        self.shift, self.scale, self.flip, self.colour, self.erase = shift, scale, flip, colour, erase
        self._epoch, self._start = 0, 0
        if train and len(crops.ids) < 2:
            raise ValueError("There is but one labelled box to train on; check the data set's identities.")
        identities = len(np.unique(crops.ids))
        if self.per_identity and not 1 <= batch_size // self.per_identity <= identities:
            raise ValueError(
                f"A batch of {batch_size} with {per_identity} crops per identity needs between 1 and "
                f"{identities} identities (so many there are); change batch_size or per_identity."
            )

    def set_epoch(self, epoch: int, start: int = 0) -> None:
        """Chooses the epoch that the next iteration yields, without its first `start` batches."""
        self._epoch, self._start = epoch, start

    def __len__(self) -> int:
        many = len(self.crops.ids)
        least = (
            2 * distributed.current_rank().size if self.train else 1
        )  # training leaves out a smaller last batch
        return -(-(many - least + 1) // self.batch_size)

    def __iter__(self) -> Iterator[CropBatch]:
        order = self._balanced() if self.per_identity else self._shuffled()
        for number in range(self._start, len(self)):
            chosen = order[number]
            pixels = torch.from_numpy(self.crops.images[chosen])
            ids = torch.from_numpy(self.crops.ids[chosen])
            images = self._images(pixels, number)
            mine = distributed.shard(range(len(ids)))
            yield CropBatch(images[mine[0] : mine[-1] + 1], ids[mine[0] : mine[-1] + 1])

    def _shuffled(self) -> list[np.ndarray]:
        indices = np.arange(len(self.crops.ids))
        if self.train:
            indices = draws("crop order", self.seed, self._epoch).permutation(indices)
        return np.split(indices, range(self.batch_size, len(indices), self.batch_size))

    def _balanced(self) -> list[np.ndarray]:
        """Rounds over all identities; a batch never holds one identity twice."""
        draw = draws("crop order", self.seed, self._epoch)
        members = [np.flatnonzero(self.crops.ids == identity) for identity in np.unique(self.crops.ids)]
        together = self.batch_size // self.per_identity
        batches: list[np.ndarray] = []
        while len(batches) < len(self):
            order = draw.permutation(len(members))
            for first in range(0, len(order) - together + 1, together):
                chosen = [members[number] for number in order[first : first + together]]
                picked = [draw.choice(m, self.per_identity, len(m) < self.per_identity) for m in chosen]
                batches.append(np.concatenate(picked))
        return batches

    def _images(self, pixels: Tensor, number: int) -> Tensor:
        gain, offset = (rearrange(constant, "c -> 1 c 1 1") for constant in normalisation())
        if not self.train:
            (top, left), (height, width) = self.crops.border, self.crops.size
            return pixels[..., top : top + height, left : left + width] * gain + offset
        generator = torch.Generator()
        generator.manual_seed(int(draws("crop", self.seed, self._epoch, number).integers(2**63)))
        images = self._coloured(self._windows(pixels, generator), gain, offset, generator)
        return images.masked_fill_(self._erased(len(images), generator), 0.0)

    def _windows(self, pixels: Tensor, generator: torch.Generator) -> Tensor:
        """Shifted, scaled and mirrored windows, by one bilinear sampling."""
        count, axes = len(pixels), []
        mirrored = torch.rand(count, generator=generator) < self.flip
        for axis in (1, 0):  # grid_sample wants x before y
            size, border = self.crops.size[axis], self.crops.border[axis]
            extent = size / (size + 2 * border)
            zoom = extent * (1 + self.scale * _symmetric(count, generator))
            centre = self.shift * (1 - extent) * _symmetric(count, generator)
            if axis == 1:
                zoom = torch.where(mirrored, -zoom, zoom)
            steps = (torch.arange(size) * 2 + 1) / size - 1
            axes.append(centre[:, None] + zoom[:, None] * steps)
        height, width = self.crops.size
        x, y = repeat(axes[0], "b w -> b h w", h=height), repeat(axes[1], "b h -> b h w", w=width)
        grid = torch.stack([x, y], dim=-1)
        return F.grid_sample(pixels.float(), grid, padding_mode="border", align_corners=False)

    def _coloured(self, images: Tensor, gain: Tensor, offset: Tensor, generator: torch.Generator) -> Tensor:
        """Brightness, contrast about the image's mean, channel gains and normalisation as one product."""
        count = len(images)
        brightness, contrast = 1 + self.colour * _symmetric((2, count, 1, 1, 1), generator)
        channels = 1 + self.colour * _symmetric((count, 3, 1, 1), generator)
        mean = images.mean(dim=(1, 2, 3), keepdim=True)
        factor = brightness * channels * gain
        return torch.addcmul(offset + factor * mean * (1 - contrast), images, factor * contrast)

    def _erased(self, count: int, generator: torch.Generator) -> Tensor:
        """(b, 1, h, w) bool: rectangles of a fifth to a half of each side, in some of the images."""
        happens = torch.rand(count, 1, generator=generator) < self.erase
        inside = []
        for size in self.crops.size:
            length = size * (0.2 + 0.3 * torch.rand(count, 1, generator=generator))
            start = (size - length) * torch.rand(count, 1, generator=generator)
            steps = torch.arange(size)
            inside.append((steps >= start) & (steps < start + length) & happens)
        return rearrange(inside[0], "b h -> b 1 h 1") & rearrange(inside[1], "b w -> b 1 1 w")


def _symmetric(shape: int | tuple[int, ...], generator: torch.Generator) -> Tensor:
    return torch.rand(shape, generator=generator) * 2 - 1
