"""A trained task, measured: accuracy by a yardstick, cost on this machine, and where it all comes from."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from psearch import ranks
from psearch.data.loading import SceneLoader
from psearch.evaluation.evaluation import Evaluation
from psearch.models.cost import cost
from psearch.models.network import Network
from psearch.training import record
from psearch.training.identity import config_hash
from psearch.training.task import NetworkTask
from psearch.training.yardstick import Yardstick
from psearch.types import Benchmark


def network_cost(network: Network, benchmark: Benchmark, *, device: torch.device) -> dict[str, Any]:
    """Cost of searching one typical test scene."""
    batch = next(iter(SceneLoader(benchmark.test, batch_size=1, sides=benchmark.sides)))
    height, width = batch.images.shape[-2:]
    return cost(network, height=height, width=width, device=device)


def origin(config: Mapping[str, Any]) -> dict[str, Any]:
    """Code, machine and config a result comes from."""
    return {"code": record.code(), "machine": record.machine(), "config_hash": config_hash(config)}


def measure(task: NetworkTask, yardstick: Yardstick) -> tuple[Evaluation, dict[str, Any]]:
    """Evaluate a task's network -> the evaluation, and its part of `results.json`."""
    evaluation = yardstick.network(task.network)
    spent = ranks.by_first(lambda: network_cost(task.network, yardstick.benchmark, device=yardstick.device))
    return evaluation, yardstick.record(evaluation) | {"cost": spent}


@torch.no_grad()
def agreement(task: NetworkTask, yardstick: Yardstick) -> dict[str, float]:
    """Each distillation term over scenes it was not trained on, the mean of its batches: how near the student
    has come to its teachers. Empty for a task that nobody teaches."""
    if not task.taught:
        return {}
    batches = iter(yardstick.loader())
    with ranks.alone():
        mine = [_on_cpu(task.agreement(batch.to(yardstick.device))) for batch in batches]
    seen = [values for part in ranks.gather(mine) for values in part]
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
    if device.type == "cuda" and ranks.several():
        device = torch.device("cuda", ranks.me().local % torch.cuda.device_count())
        torch.cuda.set_device(device)
    return device


def short(directory: Path) -> str:
    """A directory as a record stores it: relative where it can be: no record names a machine's paths."""
    try:
        return str(directory.resolve().relative_to(Path.cwd()))
    except ValueError:
        return str(directory)
