"""What networks of a study are measured by, the same for every one of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from psearch.data.loading import SceneLoader
from psearch.evaluation.evaluation import Evaluation
from psearch.evaluation.evaluator import Evaluator
from psearch.evaluation.files import read_detections
from psearch.evaluation.galleries import cut, whole
from psearch.evaluation.pairs import PairSearch
from psearch.models.network import Network
from psearch.training.build import build
from psearch.types import Benchmark, Detections, Query, Split


@dataclass(frozen=True, eq=False)
class Yardstick:
    """A split of a benchmark, further galleries to search (name -> queries), and the evaluator's rules.

    workers: processes that decode scenes.
    """

    benchmark: Benchmark
    split: Split
    galleries: Mapping[str, Sequence[Query]]
    evaluator: Evaluator
    device: torch.device
    workers: int = 0

    @classmethod
    def of(
        cls, benchmark: Benchmark, evaluation: Mapping[str, Any], *, device: torch.device, workers: int = 0
    ) -> Yardstick:
        """From the plain node of a file in `conf/evaluation`.

        Raises ValueError for a split or gallery that the data set does not have.
        """
        split = split_named(benchmark, evaluation["split"])
        names = evaluation.get("galleries") or ()
        if not isinstance(names, list | tuple):
            raise ValueError(f"evaluation.galleries={names}: write a list, as in [50,-1]")
        galleries = {str(name): searches(split, name) for name in names}
        return cls(benchmark, split, galleries, build(evaluation["evaluator"]), device, workers)

    def network(self, network: Network) -> Evaluation:
        """One pass of the network over the scenes, then everything there is to measure."""
        pairs = None if network.guide is None else PairSearch(network.guide, self.loader)
        return self.evaluator(
            network, self.loader(), self.split, galleries=self.galleries, pairs=pairs, device=self.device
        )

    def file(self, path: Path) -> Evaluation:
        """What any detector found, from a `detections.npz`. Raises ValueError if it does not fit."""
        found, queries = read_detections(path, self.split.scenes, queries=len(self.split.queries))
        return self.evaluator.measure(
            self.split, found, queries, galleries=self.galleries, device=self.device
        )

    def two_step(self, network: Network, found: Sequence[Detections]) -> Evaluation:
        """Another network's finds, described by this one."""
        return self.evaluator.two_step(
            network, self.loader(), self.split, found, galleries=self.galleries, device=self.device
        )

    def validation(self) -> Yardstick | None:
        """The same rules on the validation split, its own galleries only; None if there is no such split."""
        val = self.benchmark.val
        return None if val is None else replace(self, split=val, galleries={})

    def record(self, evaluation: Evaluation) -> dict[str, Any]:
        """Its part of `results.json`; two results are comparable if their `protocol` is equal."""
        facts = {
            "dataset": self.benchmark.name,
            "fingerprint": self.benchmark.fingerprint,
            "gallery_size": self.benchmark.gallery_size,
        }
        return {
            "protocol": facts | evaluation.protocol,
            "metrics": evaluation.metrics,
            "per_query": evaluation.per_query,
            "intervals": evaluation.intervals,
            "searches": evaluation.searches,
        }

    def loader(self, only: Sequence[int] | None = None) -> SceneLoader:
        """The split's scenes in order, or only some of them, as a network sees them."""
        sides = self.benchmark.sides
        return SceneLoader(self.split, batch_size=8, sides=sides, workers=self.workers, only=only)


def split_named(benchmark: Benchmark, name: str) -> Split:
    """`test`, or `val` for tuning. Raises ValueError if there is no such split, or no query in it."""
    split = {"test": benchmark.test, "val": benchmark.val}.get(name)
    if split is None:
        raise ValueError(
            f"data={benchmark.name} has no split {name!r} to evaluate on: choose evaluation.split=test"
        )
    if not split.queries:
        raise ValueError(f"the split {name!r} of data={benchmark.name} has no queries: there is no search")
    return split


def searches(split: Split, name: int | str) -> Sequence[Query]:
    """The split's searches in galleries of that size (-1: all scenes) or kind, as the data set has them; for
    one that has none its own are cut or filled up.

    Raises ValueError for galleries that cannot be had.
    """
    if split.gallery is not None:
        return split.gallery(name)
    if not isinstance(name, int):
        raise ValueError(
            f"evaluation.galleries: this data set has no galleries {name!r}; give sizes, -1 for all scenes"
        )
    if name == -1:
        return whole(split.scenes, split.queries)
    return cut(split.scenes, split.queries, name)
