"""What networks of a study are measured by, the same for every one of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from psearch import distributed
from psearch.build import build
from psearch.data.loading import SceneLoader
from psearch.evaluation.detections_file import read_detections
from psearch.evaluation.evaluator import Evaluator
from psearch.evaluation.pairwise_inference import PairSearch
from psearch.evaluation.protocols import cut, whole
from psearch.evaluation.result import Evaluation
from psearch.identity import config_hash
from psearch.models.cost import cost
from psearch.models.network import Network
from psearch.runs import provenance
from psearch.runs.config import EvaluationConfig
from psearch.tasks.task import NetworkTask
from psearch.types import Benchmark, Detections, Query, Split


@dataclass(frozen=True, eq=False)
class EvaluationSetup:
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
        cls, benchmark: Benchmark, evaluation: EvaluationConfig, *, device: torch.device, workers: int = 0
    ) -> EvaluationSetup:
        """Raises ValueError for a split or gallery that the data set does not have."""
        split = split_named(benchmark, evaluation.split)
        galleries = {str(name): searches(split, name) for name in evaluation.galleries}
        return cls(benchmark, split, galleries, build(evaluation.evaluator), device, workers)

    def network(self, network: Network) -> Evaluation:
        """One pass of the network over the scenes, then everything there is to measure."""
        pairs = (
            None if network.query_conditioned is None else PairSearch(network.query_conditioned, self.loader)
        )
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

    def validation(self) -> EvaluationSetup | None:
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


def network_cost(network: Network, benchmark: Benchmark, *, device: torch.device) -> dict[str, Any]:
    """Cost of searching one typical test scene."""
    batch = next(iter(SceneLoader(benchmark.test, batch_size=1, sides=benchmark.sides)))
    height, width = batch.images.shape[-2:]
    return cost(network, height=height, width=width, device=device)


def origin(config: Mapping[str, Any], *, data: str = "", code: str = "") -> dict[str, Any]:
    """Code, machine and config a result comes from. data: the data's fingerprint; code: the digest of the
    code that decides it."""
    closure = {"closure": code} if code else {}
    return {
        "code": provenance.code() | closure,
        "machine": provenance.machine(),
        "config_hash": config_hash(config, data),
    }


def measure(task: NetworkTask, setup: EvaluationSetup) -> tuple[Evaluation, dict[str, Any]]:
    """Evaluate a task's network -> the evaluation, and its part of `results.json`."""
    evaluation = setup.network(task.network)
    spent = distributed.on_first_rank(
        lambda: network_cost(task.network, setup.benchmark, device=setup.device)
    )
    return evaluation, setup.record(evaluation) | {"cost": spent}


@torch.no_grad()
def agreement(task: NetworkTask, setup: EvaluationSetup) -> dict[str, float]:
    """Each distillation term over scenes it was not trained on, the mean of its batches: how near the student
    has come to its teachers. Empty for a task that nobody teaches."""
    if not task.taught:
        return {}
    batches = iter(setup.loader())
    with distributed.single_process():
        mine = [_on_cpu(task.agreement(batch.to(setup.device))) for batch in batches]
    seen = [values for part in distributed.all_gather(mine) for values in part]
    return {name: float(torch.stack([values[name] for values in seen]).mean()) for name in seen[0]}


def _on_cpu(values: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: value.cpu() for name, value in values.items()}


def device_named(name: str) -> torch.device:
    """`auto` is the first GPU, else the CPU; every rank on a machine has a GPU of its own.

    Raises ValueError for a GPU that is not there.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise ValueError(f"device={name} is no device: choose auto, cpu or cuda") from error
    if device.type == "cuda" and not torch.cuda.is_available():
        raise ValueError(f"device={name}, but torch sees no GPU here: choose device=cpu or device=auto")
    if device.type == "cuda" and distributed.is_distributed():
        device = torch.device("cuda", distributed.current_rank().local % torch.cuda.device_count())
        torch.cuda.set_device(device)
    return device


def short(directory: Path) -> str:
    """A directory as a record stores it: relative where it can be: no record names a machine's paths."""
    try:
        return str(directory.resolve().relative_to(Path.cwd()))
    except ValueError:
        return str(directory)
