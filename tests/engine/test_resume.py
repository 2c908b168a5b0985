"""However often a training is stopped, it ends with the weights and the metrics of an undisturbed one."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from psearch.engine.loop import TrainingLoop
from psearch.engine.signals import Interrupted
from psearch.runs import checkpoint
from psearch.runs.directory import acquire
from psearch.tracking.jsonl import JsonLines
from tests.engine.toy import ToyLoader, ToyTask, toy_trainer

SIGNALS = [signal.SIGINT, signal.SIGTERM, signal.SIGUSR2]
TIMING = {"train/images_per_s", "train/memory_mb"}
Before = Callable[[int, int], None]


class Killed(BaseException):
    """Stands for SIGKILL: nothing more is written."""


def train(directory: Path, before: Before = lambda epoch, index: None, **options: Any) -> dict[str, Any]:
    validate = options.pop("validate", None)
    with acquire(directory, {"seed": 3}, wait_s=0) as run, JsonLines(directory=directory) as tracker:
        trainer = toy_trainer(log_every=4, **options)
        loader = ToyLoader(before=before)
        loop = TrainingLoop(ToyTask(), loader, trainer, run=run, tracker=tracker, seed=3, validate=validate)
        return loop.train()


def disturbance(epoch: int, index: int, act: Callable[[], None]) -> Before:
    return lambda e, i: act() if (e, i) == (epoch, index) else None


def send(signum: int) -> Callable[[], None]:
    return lambda: os.kill(os.getpid(), signum)


def kill() -> None:
    raise Killed


def end(directory: Path) -> dict[str, Any]:
    state = checkpoint.load(directory / "last.pt")
    return {name: value for name, value in state.items() if name not in ("seconds", "rows", "code")}


def rows(directory: Path) -> list[dict[str, float]]:
    lines = (directory / "metrics.jsonl").read_text().splitlines()
    return [{k: v for k, v in json.loads(line).items() if k not in TIMING} for line in lines]


def identical(a: Any, b: Any) -> bool:
    if isinstance(a, Tensor):
        return a.dtype == b.dtype and torch.equal(a, b)
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(identical(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(identical, a, b))
    return bool(a == b)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("undisturbed")
    train(directory)
    return directory


def test_the_toy_has_all_that_may_go_astray(undisturbed: Path) -> None:
    state = end(undisturbed)
    assert state["criterion"]["head"] != 0 and state["criterion"]["rows"].abs().sum() > 0
    assert state["network"]["1.running_mean"].abs().sum() > 0
    assert not identical(state["network"], ToyTask().network.state_dict())


@pytest.mark.parametrize("signum", SIGNALS)
@pytest.mark.parametrize(("epoch", "index"), [(0, 0), (1, 3), (2, 5), (3, 5)])
def test_a_signal_saves_at_the_next_step(
    tmp_path: Path, undisturbed: Path, epoch: int, index: int, signum: signal.Signals
) -> None:
    with pytest.raises(Interrupted, match=signum.name) as interrupted:
        train(tmp_path, disturbance(epoch, index, send(signum)))
    assert interrupted.value.exit_code == 128 + signum
    state = checkpoint.load(tmp_path / "last.pt")
    assert state["epoch"] * 6 + state["step"] == epoch * 6 + index + 1
    train(tmp_path)
    assert identical(end(tmp_path), end(undisturbed))
    steps = [row["step"] for row in rows(tmp_path)]
    assert steps == sorted(set(steps))


@pytest.mark.parametrize(("epoch", "index"), [(0, 4), (1, 0), (2, 5)])
def test_a_kill_costs_the_work_since_the_last_epoch(
    tmp_path: Path, undisturbed: Path, epoch: int, index: int
) -> None:
    with pytest.raises(Killed):
        train(tmp_path, disturbance(epoch, index, kill))
    done = train(tmp_path)
    assert identical(end(tmp_path), end(undisturbed))
    assert rows(tmp_path) == rows(undisturbed)
    assert done["steps"] == 24


def test_sigkill_of_a_real_process_frees_the_directory(tmp_path: Path, undisturbed: Path) -> None:
    script = (
        "import os, signal, pathlib, tests.engine.test_resume as t\n"
        "die = t.disturbance(2, 3, t.send(signal.SIGKILL))\n"
        f"t.train(pathlib.Path({str(tmp_path)!r}), die)"
    )
    died = subprocess.run([sys.executable, "-c", script], cwd=Path(__file__).parents[2])
    assert died.returncode == -signal.SIGKILL
    train(tmp_path)
    assert identical(end(tmp_path), end(undisturbed)) and rows(tmp_path) == rows(undisturbed)


def test_interrupted_many_times_and_killed_in_between(tmp_path: Path, undisturbed: Path) -> None:
    for epoch, index, act in [(0, 1, send(signal.SIGINT)), (0, 4, send(signal.SIGTERM)), (1, 2, kill)]:
        with pytest.raises((Interrupted, Killed)):
            train(tmp_path, disturbance(epoch, index, act))
    train(tmp_path)
    assert identical(end(tmp_path), end(undisturbed))


def test_with_accumulation_it_stops_where_no_gradient_is_pending(tmp_path: Path) -> None:
    train(tmp_path / "whole", accumulate=4)
    with pytest.raises(Interrupted):
        train(tmp_path / "parts", disturbance(1, 1, send(signal.SIGTERM)), accumulate=4)
    assert checkpoint.load(tmp_path / "parts" / "last.pt")["step"] == 4
    train(tmp_path / "parts", accumulate=4)
    assert identical(end(tmp_path / "parts"), end(tmp_path / "whole"))


def test_the_second_signal_ends_at_once(tmp_path: Path) -> None:
    def impatient() -> None:
        send(signal.SIGINT)()
        send(signal.SIGINT)()

    with pytest.raises(Interrupted, match="at once"):
        train(tmp_path, disturbance(1, 2, impatient))
    assert checkpoint.load(tmp_path / "last.pt")["epoch"] == 1


def test_handlers_are_put_back(tmp_path: Path) -> None:
    before = [signal.getsignal(signum) for signum in SIGNALS]
    train(tmp_path, epochs=1)
    assert [signal.getsignal(signum) for signum in SIGNALS] == before


def test_a_validation_that_was_killed_is_made_up_for(tmp_path: Path) -> None:
    scores = iter([0.5, Killed, 0.7, 0.6])

    def validate() -> dict[str, float]:
        score = next(scores)
        if score is Killed:
            raise Killed
        return {"mAP": float(score)}  # type: ignore[arg-type]

    with pytest.raises(Killed):
        train(tmp_path, validate=validate, validate_every=1, epochs=3)
    assert checkpoint.load(tmp_path / "last.pt")["epoch"] == 2
    train(tmp_path, validate=validate, validate_every=1, epochs=3)
    validated = [(row["epoch"], row["val/mAP"]) for row in rows(tmp_path) if "val/mAP" in row]
    assert validated == [(1, 0.5), (2, 0.7), (3, 0.6)]
    assert checkpoint.load(tmp_path / "best.pt")["epoch"] == 2
    assert checkpoint.load(tmp_path / "last.pt")["best"] == 0.7


def test_a_finished_training_is_only_loaded(tmp_path: Path, undisturbed: Path) -> None:
    train(tmp_path)
    train(tmp_path, lambda epoch, index: pytest.fail("trained again"))
    assert identical(end(tmp_path), end(undisturbed))


def test_a_damaged_checkpoint_costs_an_epoch(
    tmp_path: Path, undisturbed: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(Killed):
        train(tmp_path, disturbance(3, 1, kill))
    (tmp_path / "last.pt").write_bytes((tmp_path / "last.pt").read_bytes()[:900])
    train(tmp_path)
    assert "last.pt cannot be read" in caplog.text
    assert identical(end(tmp_path), end(undisturbed)) and rows(tmp_path) == rows(undisturbed)
