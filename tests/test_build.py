"""A config, also one that a checkpoint brought along, is data: what it may name."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch

from psearch.build import build
from psearch.studies.recipe import restored_task
from psearch.tasks.task import DatasetFacts

FACTS = DatasetFacts(identities=3, anchor_sizes=(16.0,), aspect=2.0)


@pytest.mark.parametrize(
    "target",
    [
        "os.system",
        "builtins.eval",
        "subprocess.Popen",
        "torchvision.models.resnet18",
        "torch.hub.load",
        "torch.load",
        "psearch.files.os.system",
        "torch.optim.Adam.__init__.__globals__",
        "torch.nn.modules.module.functools.partial",
        "psearchevil.run",
    ],
)
def test_only_our_own_things_and_torchs_layers_are_built(target: str, tmp_path: Path) -> None:
    node: Mapping[str, Any] = {"_target_": target, "_args_": [f"touch {tmp_path}/sprung"]}
    for wrapped in (
        node,
        {"_target_": "psearch.engine.options.TrainerOptions", "optimizer": node},
        {"a": [node]},
    ):
        with pytest.raises(ValueError, match="_target_ .* is refused"):
            build(wrapped)
    assert not list(tmp_path.iterdir())


def test_optimisers_and_schedules_are() -> None:
    node = {"_target_": "torch.optim.SGD", "_partial_": True, "lr": 0.1}
    assert build(node)([torch.nn.Parameter(torch.zeros(1))]).defaults["lr"] == 0.1
    assert callable(build({"_target_": "psearch.engine.optimization.one_cycle", "_partial_": True}))


def test_a_checkpoint_cannot_name_anything_else(tmp_path: Path) -> None:
    trap = {"_target_": "psearch.files.os.mkdir", "path": str(tmp_path / "sprung")}
    state = {
        "facts": FACTS.plain(),
        "config": {"student": trap, "compression": {}, "trainer": {}, "data": {}, "seed": 0},
    }
    with pytest.raises(ValueError, match="is refused"):
        restored_task(state, tmp_path / "last.pt")
    assert not (tmp_path / "sprung").exists()
