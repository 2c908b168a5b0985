"""A trained task, measured: accuracy on a split, cost on this machine, and where it all comes from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch

from psearch.data.loading import SceneLoader
from psearch.evaluation.evaluator import Evaluation, Evaluator
from psearch.models.cost import cost
from psearch.models.network import Network
from psearch.training import record
from psearch.training.identity import config_hash
from psearch.training.task import NetworkTask
from psearch.types import Batch, Benchmark, Split


def scenes_of(benchmark: Benchmark, split: Split, *, batch_size: int = 8, workers: int = 0) -> SceneLoader:
    """A split's scenes in order, as a network sees them."""
    return SceneLoader(split, batch_size=batch_size, sides=benchmark.sides, workers=workers)


def split_named(benchmark: Benchmark, name: str) -> Split:
    """`test`, or `val` for tuning. Raises ValueError if the data set has no such split."""
    split = {"test": benchmark.test, "val": benchmark.val}.get(name)
    if split is None:
        raise ValueError(
            f"data={benchmark.name} has no split {name!r} to evaluate on: choose evaluation.split=test"
        )
    return split


def protocol_of(benchmark: Benchmark, evaluation: Evaluation) -> dict[str, Any]:
    """Everything that decides the numbers: two results are comparable if these are equal."""
    facts = {
        "dataset": benchmark.name,
        "fingerprint": benchmark.fingerprint,
        "gallery_size": benchmark.gallery_size,
    }
    return facts | evaluation.protocol


def network_cost(network: Network, benchmark: Benchmark, *, device: torch.device) -> dict[str, Any]:
    """Cost of one forward on one typical test scene; networks that cannot propose describe four boxes."""
    batch = next(iter(scenes_of(benchmark, benchmark.test, batch_size=1)))
    height, width = batch.images.shape[-2:]
    boxes = 0 if network.detects else 4
    return cost(network, height=height, width=width, device=device, boxes=boxes)


def origin(config: Mapping[str, Any]) -> dict[str, Any]:
    """Code, machine and config a result comes from."""
    return {"code": record.code(), "machine": record.machine(), "config_hash": config_hash(config)}


def measure(
    task: NetworkTask, benchmark: Benchmark, evaluator: Evaluator, split: Split, *, device: torch.device
) -> tuple[Evaluation, dict[str, Any]]:
    """Evaluate a task's network on a split -> the evaluation, and its part of `results.json`."""
    network = task.network
    evaluation = evaluator(network, scenes_of(benchmark, split), split, device=device)
    return evaluation, {
        "protocol": protocol_of(benchmark, evaluation),
        "metrics": evaluation.metrics,
        "per_query": evaluation.per_query,
        "intervals": evaluation.intervals,
        "searches": evaluation.searches,
        "cost": network_cost(network, benchmark, device=device),
    }


@torch.no_grad()
def agreement(task: NetworkTask, scenes: Iterable[Batch], *, device: torch.device) -> dict[str, float]:
    """Each distillation term over scenes it was not trained on, the mean of its batches: how near the student
    has come to its teachers. Empty for a task that nobody teaches."""
    if not task.taught:
        return {}
    seen = [task.agreement(batch.to(device)) for batch in scenes]
    return {name: float(torch.stack([values[name] for values in seen]).mean()) for name in seen[0]}


def device_named(name: str) -> torch.device:
    """`auto` is the first GPU, else the CPU. Raises ValueError for a GPU that is not there."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    device = torch.device(name)
    if device.type == "cuda" and not torch.cuda.is_available():
        raise ValueError(f"device={name}, but torch sees no GPU here: choose device=cpu or device=auto")
    return device


def short(directory: Path) -> str:
    """A directory as a record stores it: relative where it can be: no record names a machine's paths."""
    try:
        return str(directory.resolve().relative_to(Path.cwd()))
    except ValueError:
        return str(directory)
