"""A config, also one that a checkpoint brought along, is data: what it may name, and what becomes of it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from psearch.build import Trust, build, trusting
from psearch.studies.recipe import restored_task
from psearch.tasks.task import DatasetFacts

FACTS = DatasetFacts(identities=3, anchor_sizes=(16.0,), aspect=2.0)


def test_only_what_ships_and_torchs_own_classes_are_built(tmp_path: Path) -> None:
    """tests/config/test_crafted_files.py has the other names that are tried."""
    node = {"_target_": "psearch.files.replace_text", "path": tmp_path / "sprung", "text": ""}
    for wrapped in (
        node,
        {"_target_": "psearch.engine.options.TrainerOptions", "optimizer": node},
        {"a": [node]},
    ):
        with pytest.raises(ValueError, match="_target_ psearch.files.replace_text is refused"):
            build(wrapped)
    assert not list(tmp_path.iterdir())


def test_nothing_is_called_before_all_is_known_to_be_trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    called: list[str] = []
    monkeypatch.setattr("psearch.models.compact.Compact", lambda: called.append("first"))
    nodes = [{"_target_": "psearch.models.compact.Compact"}, {"_target_": "os.getcwd"}]
    with pytest.raises(ValueError, match=r"^list\[1\]: _target_ os.getcwd is refused"):
        build({"list": nodes})
    assert not called
    build({"list": nodes[:1]})
    assert called == ["first"]


@pytest.mark.parametrize("key", ["_args_", "_convert_", "_recursive_"])
def test_hydras_other_special_keys_are_refused(key: str) -> None:
    with pytest.raises(ValueError, match=f"part.{key} is refused"):
        build({"part": {"_target_": "torch.nn.ReLU", key: []}})


def test_text_stays_text_and_the_node_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET", "told")
    node = {"text": "${oc.env:SECRET}", "more": [{"a": "${text}"}, ("x", None)], "_partial_": "kept"}
    built = build(node)
    assert built == {**node, "more": [{"a": "${text}"}, ["x", None]]}
    built["more"][0]["a"] = "changed"
    assert node["more"][0] == {"a": "${text}"}


def test_a_failure_names_key_target_and_cause() -> None:
    node = {"a": [{"_target_": "torch.nn.Linear", "in_features": 1}]}
    with pytest.raises(ValueError, match=r"^a\[0\]: torch.nn.Linear: TypeError: .*out_features"):
        build(node)
    with pytest.raises(ValueError, match="^name=mobilenet_v9"):
        build({"a": {"_target_": "psearch.models.mobile.MobileC4", "name": "mobilenet_v9"}})


@pytest.mark.parametrize("name", ["Linear", "Sequential", "BatchNorm2d"])
def test_layers_are(name: str) -> None:
    assert build({"_target_": f"torch.nn.{name}", "_partial_": True}).func is getattr(torch.nn, name)


def test_optimisers_and_schedules_are() -> None:
    node = {"_target_": "torch.optim.SGD", "_partial_": True, "lr": 0.1}
    assert build(node)([torch.nn.Parameter(torch.zeros(1))]).defaults["lr"] == 0.1
    schedule = build({"_target_": "torch.optim.lr_scheduler.StepLR", "_partial_": True, "step_size": 1})
    assert schedule.func is torch.optim.lr_scheduler.StepLR
    assert callable(build({"_target_": "psearch.engine.optimization.one_cycle", "_partial_": True}))


MODULES = {
    "mine/__init__.py": (
        "from os import getcwd\nfrom .term import Term, _private\nfrom psearch.build import build"
    ),
    "mine/term.py": (
        "import os\nclass Term:\n    class Inner: ...\n    def make(): ...\ndef _private(): ...\nx = 3"
    ),
    "miner.py": "class Term: ...",
}


@pytest.fixture
def mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name, text in MODULES.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    yield
    for name in ("mine", "mine.term", "miner"):
        sys.modules.pop(name, None)


@pytest.mark.usefixtures("mine")
def test_a_trusted_module_is_what_is_defined_in_it() -> None:
    with trusting(Trust(frozenset({"mine"}))):
        for name in ("mine.Term", "mine.term.Term"):
            assert type(build({"_target_": name})).__module__ == "mine.term"
        for name in (
            "mine.getcwd",
            "mine.build",
            "mine.term.os",
            "mine._private",
            "miner.Term",
            "mine.term.x",
        ):
            with pytest.raises(ValueError, match="is refused"):
                build({"_target_": name})
        for name in ("mine.term.Term.make", "mine.term.Term.Inner", "mine.term.os.getcwd", "mine.nothing"):
            with pytest.raises(ValueError, match=f"cannot import {name}"):
                build({"_target_": name})
    with pytest.raises(ValueError, match=r"extensions=\[…\] does not trust it"):
        build({"_target_": "mine.Term"})


@pytest.mark.usefixtures("mine")
def test_a_name_is_trusted_alone_and_nothing_else_is_imported() -> None:
    with trusting(Trust(targets=frozenset({"mine.getcwd", "mine.term.x"}))):
        assert build({"_target_": "mine.getcwd"}) == str(Path.cwd())
        with pytest.raises(ValueError, match="cannot be called"):
            build({"_target_": "mine.term.x"})
        with pytest.raises(ValueError, match="is refused"):
            build({"_target_": "miner.Term"})
    assert "miner" not in sys.modules


def test_a_checkpoint_cannot_name_anything_else(tmp_path: Path) -> None:
    trap = {"_target_": "psearch.files.os.mkdir", "path": str(tmp_path / "sprung")}
    state = {
        "facts": FACTS.plain(),
        "config": {"student": trap, "compression": {}, "trainer": {}, "data": {}, "seed": 0},
    }
    with pytest.raises(ValueError, match="is refused"):
        restored_task(state, tmp_path / "last.pt")
    assert not (tmp_path / "sprung").exists()
