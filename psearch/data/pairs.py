"""Training pairs: a person shown in one scene, and another scene to look for that person in."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from psearch import distributed
from psearch.data.loading import Plan, SceneLoader, draws
from psearch.types import UNLABELLED, Batch, QueryBatch, Scene, Split


class Pair(NamedTuple):
    """Scenes by index: the one that shows the person, and the one to search."""

    identity: int
    query: int
    gallery: int


class PairSampler:
    """Which pairs an epoch is made of.

    Somebody seen in N scenes gives the N(N-1) ordered pairs of different scenes (Munjal et al. 2019). An
    epoch has `count` pairs, a share `negatives` of them with a scene the person is not in. Over identities
    both kinds are even to one pair; no pair comes twice in an epoch before all of its identity came. They are
    a function of (seed, epoch). ValueError if nobody is seen twice, or a share is not in 0…1.
    """

    def __init__(self, scenes: Sequence[Scene], *, count: int, seed: int, negatives: float = 0.25) -> None:
        if not 0 <= negatives < 1:
            raise ValueError(f"negatives={negatives}: a share of pairs, at least 0 and below 1")
        self.scenes, self.count, self.seed, self.negatives = len(scenes), count, seed, negatives
        seen = defaultdict[int, list[int]](list)
        for index, scene in enumerate(scenes):
            for identity in np.unique(scene.ids[~scene.ignore]).tolist():
                if identity != UNLABELLED:
                    seen[identity].append(index)
        self.seen = {identity: np.array(where) for identity, where in sorted(seen.items())}
        self.repeated = [identity for identity, where in self.seen.items() if len(where) > 1]
        if not self.repeated:
            raise ValueError(
                "no labelled person is seen in two training scenes, so there are no pairs to train on: check "
                "the identities, or choose student=oim"
            )

    def pairs(self, identity: int) -> list[Pair]:
        """All N(N-1) ordered pairs of an identity."""
        where = self.seen[identity].tolist()
        return [Pair(identity, query, gallery) for query in where for gallery in where if query != gallery]

    def epoch(self, epoch: int) -> list[Pair]:
        """The pairs of an epoch, in its order."""
        draw = draws("pairs", self.seed, epoch)
        without = round(self.count * self.negatives)
        found = [
            pair
            for identity, times in _evenly(self.repeated, self.count - without, draw)
            for pair in self._positive(identity, times, draw)
        ]
        for identity, times in _evenly(list(self.seen), without, draw):
            found += [self._negative(identity, draw) for _ in range(times)]
        return [found[index] for index in draw.permutation(len(found))]

    def _positive(self, identity: int, times: int, draw: np.random.Generator) -> list[Pair]:
        every = self.pairs(identity)
        rounds = -(-times // len(every))
        order = np.concatenate([draw.permutation(len(every)) for _ in range(rounds)] or [np.zeros(0, int)])
        return [every[index] for index in order[:times]]

    def _negative(self, identity: int, draw: np.random.Generator) -> Pair:
        """A scene without the person; where there is none, every scene shows it, another one that does."""
        where = self.seen[identity]
        absent = np.setdiff1d(np.arange(self.scenes), where, assume_unique=True)
        gallery = draw.choice(absent if len(absent) else where)
        return Pair(identity, int(draw.choice(where)), int(gallery))


def _evenly(identities: list[int], total: int, draw: np.random.Generator) -> list[tuple[int, int]]:
    """`total` split over the identities; who gets one more is drawn."""
    each, more = divmod(total, len(identities))
    lucky = set(draw.permutation(len(identities))[:more].tolist())
    return [(identity, each + (place in lucky)) for place, identity in enumerate(identities)]


class PairPlan(NamedTuple):
    """What one batch of pairs is made of: this rank's pairs, and those of all ranks; see `Plan`."""

    pairs: Sequence[Pair]
    factor: float
    epoch: int
    whole: Sequence[Pair]


class PairLoader(SceneLoader):
    """Iterates over training pairs as `Batch`es of the scenes to search, each with its `query`.

    An epoch has as many pairs as the split has scenes, so that it costs one step of a `SceneLoader` each.
    Both sides are read and transformed as there: one size factor per batch, a scene is mirrored or not
    throughout an epoch. negatives: see `PairSampler`. The rest, and errors: see `SceneLoader`.
    """

    def __init__(
        self,
        split: Split,
        *,
        batch_size: int,
        sides: Sequence[int] | None = None,
        seed: int = 0,
        flip: float = 0.5,
        multi_scale: Sequence[float] = (1.0,),
        negatives: float = 0.25,
        workers: int = 0,
        cache: str | Path | None = None,
    ) -> None:
        super().__init__(
            split,
            batch_size=batch_size,
            sides=sides,
            seed=seed,
            train=True,
            flip=flip,
            multi_scale=multi_scale,
            workers=workers,
            cache=cache,
        )
        self.sampler = PairSampler(split.scenes, count=len(split.scenes), seed=seed, negatives=negatives)
        self._batches = _PairBatches(self._batches)  # type: ignore[assignment]

    def _plans(self) -> list[PairPlan]:  # type: ignore[override]
        pairs, size = self.sampler.epoch(self._epoch), self.batch_size
        factors = draws("multi-scale", self.seed, self._epoch).choice(self.multi_scale, len(self))
        batches = [pairs[start : start + size] for start in range(0, len(pairs), size)]
        each = zip(batches, factors.tolist(), strict=False)  # a last batch too small for all ranks is dropped
        return [PairPlan(distributed.shard(batch), factor, self._epoch, batch) for batch, factor in each]


class _PairBatches(Dataset[Batch]):
    """Reads and transforms both sides of one planned batch."""

    def __init__(self, scenes: Dataset[Batch]) -> None:
        self.scenes = scenes

    def __getitem__(self, plan: PairPlan) -> Batch:
        shown, searched = (self.scenes[_side(plan, name)] for name in ("query", "gallery"))
        ids = torch.tensor([pair.identity for pair in plan.pairs])
        query_batch = QueryBatch(shown.images, shown.sizes, shown.scales, _boxes(shown, ids), ids)
        return replace(searched, query=query_batch)


def _side(plan: PairPlan, name: str) -> Plan:
    mine, whole = ([getattr(pair, name) for pair in pairs] for pairs in (plan.pairs, plan.whole))
    return Plan(mine, plan.factor, plan.epoch, whole)


def _boxes(batch: Batch, wanted: Tensor) -> Tensor:
    """(b, 4): of each image the first box of the identity wanted there."""
    everyone = zip(batch.boxes, batch.ids, batch.ignore, wanted, strict=True)
    return torch.stack([boxes[(ids == one) & ~ignore][0] for boxes, ids, ignore, one in everyone])
