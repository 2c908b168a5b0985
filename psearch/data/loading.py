"""Batches of whole scenes, in an order that depends on nothing but seed and epoch."""

from __future__ import annotations

import zlib
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from psearch import distributed
from psearch.data.pictures import ResizedPictures
from psearch.data.transforms import collate, pair, resize, resize_scale
from psearch.types import Batch, Scene, Split


class Plan(NamedTuple):
    """What one batch is made of: scenes, the size factor they share, the epoch, and the scenes of all ranks,
    which are padded alike."""

    indices: Sequence[int]
    factor: float
    epoch: int
    whole: Sequence[int]


class SceneLoader:
    """Iterates over a split as `Batch`es.

    Training (`train=True`): shuffled, mirrored with probability `flip`, at a size factor drawn per batch
    from `multi_scale`; `group_by_aspect` puts pictures of like proportions together, which saves padding.
    Otherwise: in order, unchanged. sides: (shorter, longer) side in pixels a scene is resized to fit;
    None keeps its size. The last batch may be smaller unless `drop_last`. `workers` processes decode and
    resize; they do not change what comes out. cache: folder for resized pictures as JPEGs, one folder per
    data fingerprint; pixels then differ by what JPEG loses. pin_memory: for faster copies to a GPU; None:
    where there is one. only: indices of the scenes to bring. With several ranks each gets its share of every
    batch in training (a last batch with fewer scenes than ranks is left out), else whole batches in turn.
    `len` is the number of batches of a whole epoch, all ranks together. ValueError for an empty split, or if
    a picture does not decode or is not of the size its annotation says.
    """

    def __init__(
        self,
        split: Split,
        *,
        batch_size: int,
        sides: Sequence[int] | None = None,
        seed: int = 0,
        train: bool = False,
        flip: float = 0.5,
        multi_scale: Sequence[float] = (1.0,),
        group_by_aspect: bool = False,
        drop_last: bool = False,
        workers: int = 0,
        pin_memory: bool | None = None,
        cache: str | Path | None = None,
        only: Sequence[int] | None = None,
    ) -> None:
        if not split.scenes:
            raise ValueError(f"The split '{split.name}' has no scenes to load; check the data set.")
        if batch_size < 1:
            raise ValueError(f"batch_size is {batch_size}; it must be at least 1.")
        self.split, self.batch_size, self.seed, self.train = split, batch_size, seed, train
        self.multi_scale = tuple(multi_scale) if train else (1.0,)
        self.drop_last, self.workers = drop_last, workers
        self.pin_memory = torch.cuda.is_available() if pin_memory is None else pin_memory
        self._groups = _aspects(split.scenes) if train and group_by_aspect else np.zeros(len(split.scenes))
        kept = None if cache is None else ResizedPictures(Path(cache) / split.name)
        pictures = replace(split, queries=(), gallery=None)  # all that loader workers need
        self._batches = _Batches(pictures, pair(sides), seed, flip if train else 0.0, kept)
        self._only = range(len(split.scenes)) if only is None else only
        self._epoch, self._start = 0, 0
        if not len(self):
            raise ValueError(
                f"drop_last leaves no batch: '{split.name}' has {len(split.scenes)} scenes and batch_size is "
                f"{batch_size}; make batch_size smaller."
            )

    def set_epoch(self, epoch: int, start: int = 0) -> None:
        """Chooses the epoch that the next iteration yields, without its first `start` batches.

        Skipped batches are not read, so that a run resumed in mid-epoch loses no time.
        """
        self._epoch, self._start = epoch, start

    def __len__(self) -> int:
        return len(self._order(0))

    def __iter__(self) -> Iterator[Batch]:
        # A generator of its own keeps DataLoader from drawing on torch's global random state.
        loader = DataLoader(
            self._batches,
            batch_size=None,
            sampler=self._plans()[self._start :],
            num_workers=self.workers,
            pin_memory=self.pin_memory,
            generator=torch.Generator(),
        )
        try:
            yield from loader
        except ValueError as error:  # a worker hands on its whole traceback, of which the last line counts
            raise ValueError(str(error).splitlines()[-1].removeprefix("ValueError: ")) from error

    def _plans(self) -> list[Plan]:
        factors = draws("multi-scale", self.seed, self._epoch).choice(self.multi_scale, len(self))
        order = zip(self._order(self._epoch), factors.tolist(), strict=True)
        if self.train:
            return [Plan(distributed.shard(batch), factor, self._epoch, batch) for batch, factor in order]
        plans = [Plan(batch, factor, self._epoch, batch) for batch, factor in order]
        return plans[distributed.current_rank().number :: distributed.current_rank().size]

    def _order(self, epoch: int) -> list[list[int]]:
        indices = np.array(self._only)
        if self.train:
            indices = draws("order", self.seed, epoch).permutation(indices)
        open_batches: dict[float, list[int]] = defaultdict(list)
        order = []
        for index in indices.tolist():
            batch = open_batches[self._groups[index]]
            batch.append(index)
            if len(batch) == self.batch_size:
                order.append(open_batches.pop(self._groups[index]))
        least = distributed.current_rank().size if self.train else 1
        rest = [batch for batch in open_batches.values() if len(batch) >= least]
        return order if self.drop_last else order + rest


class _Batches(Dataset[Batch]):
    """Reads and transforms one planned batch; this is the part that is sent to worker processes."""

    def __init__(
        self,
        split: Split,
        sides: tuple[int, int] | None,
        seed: int,
        flip: float,
        cache: ResizedPictures | None,
    ) -> None:
        self.split, self.sides, self.seed, self.flip, self.cache = split, sides, seed, flip, cache

    def __getitem__(self, plan: Plan) -> Batch:
        scenes = [self.split.scenes[index] for index in plan.indices]
        scales = [resize_scale(scene.height, scene.width, self.sides, plan.factor) for scene in scenes]
        pictures = [self._read(*each) for each in zip(plan.indices, scenes, scales, strict=True)]
        flips = [
            self.flip > 0 and draws("flip", self.seed, plan.epoch, index).random() < self.flip
            for index in plan.indices
        ]
        return collate(pictures, scenes, plan.indices, scales, flips, self._least(plan))

    def _least(self, plan: Plan) -> tuple[int, int]:
        """Height and width that hold every picture of the whole batch."""
        whole = [self.split.scenes[index] for index in plan.whole]
        sizes = [
            _size(scene, resize_scale(scene.height, scene.width, self.sides, plan.factor)) for scene in whole
        ]
        return max(height for height, _ in sizes), max(width for _, width in sizes)

    def _read(self, index: int, scene: Scene, scale: float) -> np.ndarray:
        size = _size(scene, scale)
        if self.cache is None or size == (scene.height, scene.width):
            return resize(self._original(index, scene), *size)
        return self.cache.get(index, size, lambda: resize(self._original(index, scene), *size))

    def _original(self, index: int, scene: Scene) -> np.ndarray:
        picture = self.split.read(index)
        if picture.shape != (scene.height, scene.width, 3):
            raise ValueError(
                f"The picture '{scene.name}' has the shape {picture.shape}, but its annotation says "
                f"{scene.width}x{scene.height}: restore the file or correct the annotation."
            )
        return picture


def _size(scene: Scene, scale: float) -> tuple[int, int]:
    return max(1, round(scene.height * scale)), max(1, round(scene.width * scale))


def _aspects(scenes: Sequence[Scene]) -> np.ndarray:
    """Number of the group of like width/height; neighbouring groups differ by a factor of about 1.4."""
    return np.array([np.round(2 * np.log2(scene.width / scene.height)) for scene in scenes])


def draws(purpose: str, seed: int, epoch: int, index: int = 0) -> np.random.Generator:
    """A generator of its own for one purpose, e.g. `draws("flip", seed, epoch, scene)`.

    The same arguments always give the same numbers, on every machine and in every worker process.
    ValueError for a negative seed, epoch or index.
    """
    # The key has a fixed length because SeedSequence treats (1, 2) and (1, 2, 0) alike.
    return np.random.default_rng((zlib.crc32(purpose.encode()), seed, epoch, index))
