"""Costs of a study's networks, measured in one process one after the other: while jobs run side by side, a
latency says more about the neighbours than about the network."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import torch

from psearch.training import checkpoint, record
from psearch.training.files import replace_json
from psearch.training.measure import network_cost
from psearch.training.recipe import restored_task
from psearch.training.references import Student
from psearch.types import Benchmark

COST = "cost.json"


def measure_costs(members: Sequence[Student], benchmark: Benchmark, *, device: torch.device) -> None:
    """Write `cost.json` beside each member's results, once per architecture and machine.

    Runs of one architecture share one measurement. Without its checkpoint a run keeps the cost that it
    measured itself.
    """
    alike: dict[str, list[Student]] = defaultdict(list)
    for member in members:
        if (member.directory / checkpoint.LAST).exists():
            parts = [member.config["student"], member.config["compression"], str(device), record.machine()]
            alike[json.dumps(parts, sort_keys=True)].append(member)
    for architecture, same in alike.items():
        if all(_measured(member.directory / COST) == architecture for member in same):
            continue
        path = same[0].directory / checkpoint.LAST
        network = restored_task(checkpoint.load(path), path).network.to(device)
        cost = network_cost(network, benchmark, device=device)
        for member in same:
            replace_json(member.directory / COST, {"cost": cost, "measured": architecture})


def _measured(path: Path) -> str | None:
    try:
        return str(json.loads(path.read_text())["measured"])
    except (OSError, ValueError, KeyError):
        return None
