"""The record of where a result comes from: the code, the machine, and the weights it started from."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
import torch

from psearch.runs.provenance import checkpoint_digest, code, machine, peak_memory_mb, weights_digest


def git(directory: Path, *arguments: str) -> None:
    who = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
    subprocess.run(["git", "-C", str(directory), *who, *arguments], check=True, capture_output=True)


def test_the_code_that_ran_is_on_record(tmp_path: Path) -> None:
    """A file that git does not track is no uncommitted change; tracked ones that changed are named."""
    package = tmp_path / "package"
    package.mkdir()
    (package / "__init__.py").write_text("")
    assert code(package) == {"commit": "unknown", "dirty": None, "changed": []}
    git(tmp_path, "init")
    git(tmp_path, "commit", "--allow-empty", "-m", "somebody else's")
    assert code(package)["commit"] == "unknown"
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-m", "ours")
    (package / "notes.py").write_text("")
    record = code(package)
    assert len(record.pop("commit")) == 40 and record == {"dirty": False, "changed": []}
    (package / "__init__.py").write_text("changed = True")
    record = code(package)
    assert record["dirty"] is True and record["changed"] == ["package/__init__.py"]


def test_the_machine_is_on_record() -> None:
    record = machine()
    assert record["cpu"] and record["cores"] >= 1 and record["torch"] and record["python"]
    assert peak_memory_mb() > 10
    json.dumps(record)


STATE = {"a.weight": torch.arange(6.0).reshape(2, 3), "a.count": torch.tensor(3), "none": torch.zeros(0, 4)}


def test_weights_are_known_by_their_content() -> None:
    copy = {name: value.clone() for name, value in reversed(STATE.items())}
    assert weights_digest(copy) == weights_digest(STATE)
    strided = STATE | {"a.weight": STATE["a.weight"].T.contiguous().T}
    assert weights_digest(strided) == weights_digest(STATE)


@pytest.mark.parametrize(
    "other",
    [
        {"a.weight": STATE["a.weight"].reshape(3, 2)},
        {"a.weight": STATE["a.weight"].double()},
        {"a.weight": STATE["a.weight"].nextafter(torch.tensor(9.0))},
        {"a.count": torch.tensor(4)},
        {"b": torch.zeros(0)},
    ],
)
def test_other_weights_are_told_apart(other: dict[str, torch.Tensor]) -> None:
    assert weights_digest(STATE | other) != weights_digest(STATE)


def checkpoint(**changes: Any) -> dict[str, Any]:
    config = {"student": {"embedding": 8}, "compression": {}, "trainer": {"epochs": 3}}
    return {
        "network": STATE,
        "criterion": {},
        "facts": {"identities": 2},
        "config": config,
        "epoch": 1,
    } | changes


def test_a_checkpoint_is_known_by_what_is_built_from_it(tmp_path: Path) -> None:
    """Not by its bytes or place: the same network saved again, after other epochs, is the same teacher."""
    first, second = tmp_path / "a.pt", tmp_path / "b" / "last.pt"
    second.parent.mkdir()
    torch.save(checkpoint(), first)
    torch.save(dict(reversed(checkpoint(epoch=2).items())), second)
    assert checkpoint_digest(first) == checkpoint_digest(str(second))
    known = {checkpoint_digest(first)}
    for number, changes in enumerate(
        (
            {"network": STATE | {"a.count": torch.tensor(4)}},
            {"criterion": {"table": torch.ones(2)}},
            {"facts": {"identities": 3}},
            {"config": {"student": {"embedding": 9}}},
        )
    ):
        torch.save(checkpoint(**changes), tmp_path / f"{number}.pt")
        known.add(checkpoint_digest(tmp_path / f"{number}.pt"))
    assert len(known) == 5


def test_a_checkpoint_replaced_under_its_name_is_another_one(tmp_path: Path) -> None:
    path = tmp_path / "teacher.pt"
    torch.save({"network": {"w": torch.zeros(2)}}, path)
    before = checkpoint_digest(path)
    torch.save({"network": {"w": torch.ones(2)}}, path)
    assert checkpoint_digest(path) != before
    path.write_bytes(b"nothing")
    with pytest.raises(ValueError, match="cannot be read"):
        checkpoint_digest(path)
    with pytest.raises(ValueError, match="there is no checkpoint"):
        checkpoint_digest(tmp_path / "missing.pt")
