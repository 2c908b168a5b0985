"""The program around Hydra: help with every choice, one line per mistake, exit codes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest
from hydra.errors import HydraException, InstantiationException

from psearch.config import program
from psearch.config.errors import message, portable
from psearch.config.program import CONF, help_text, start


def test_help_shows_every_choice_of_every_group_with_a_line() -> None:
    text = help_text("train")
    groups = [path for path in CONF.iterdir() if path.is_dir() and path.name != "hydra"]
    assert len(groups) >= 8
    for path in [file for group in [*groups, CONF / "hydra/launcher"] for file in group.glob("[!_]*.yaml")]:
        lines = [line.lstrip("* ") for line in text.splitlines()]
        [shown] = [
            line for line in lines if line.startswith(f"{path.stem} ") and _summary(path.read_text()) in line
        ]
        assert len(shown) > len(path.stem) + 10


def test_help_shows_usage_defaults_and_keys() -> None:
    text = help_text("train")
    assert "python -m psearch.train -m" in text and "distill=none,identities" in text
    assert "  * tiny " in text and "  * basic " in text
    assert "  seed: 1 # of initial weights" in text


@pytest.mark.parametrize(
    ("command_line", "words"),
    [
        (["psearch.train", "+sed=2"], "did you mean 'seed'"),
        (["psearch.train", "device=abacus"], "abacus"),  # found by the job itself, after Hydra
        (["psearch.evaluate", "checkpoint=nope.pt"], "there is no checkpoint nope.pt"),
    ],
)
def test_a_mistake_is_one_line_and_a_failure(command_line: list[str], words: str) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "HYDRA_FULL_ERROR"}
    done = subprocess.run(
        [sys.executable, "-m", *command_line],
        capture_output=True,
        text=True,
        cwd=CONF.parent,
        env=environment,
    )
    assert done.returncode != 0
    [line] = done.stderr.splitlines()
    assert line.startswith("error: ") and words in line


@pytest.fixture
def hydra_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["psearch.train"])
    monkeypatch.setattr(program, "check_command", lambda args, config_name: None)
    monkeypatch.delenv("HYDRA_FULL_ERROR", raising=False)


@pytest.mark.usefixtures("hydra_says")
def test_dry_run_is_a_sweep_that_only_tells(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also without -m: it must never come to a training."""
    seen: list[str] = []
    monkeypatch.setattr(sys, "argv", ["psearch.train", "--dry-run", "seed=1"])
    start(lambda: seen.extend(sys.argv[1:]), "train")
    assert seen == ["--multirun", "hydra.sweeper.preview=true", "seed=1"]


@pytest.mark.usefixtures("hydra_says")
def test_overrides_may_stand_anywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []
    monkeypatch.setattr(
        sys, "argv", ["psearch.train", "seed=1", "-m", "device=cpu", "--config-dir", "x", "study=a"]
    )
    start(lambda: seen.extend(sys.argv[1:]), "train")
    assert seen == ["-m", "--config-dir", "x", "seed=1", "device=cpu", "study=a"]


def raising(error: BaseException) -> None:
    raise error


@pytest.mark.usefixtures("hydra_says")
def test_start_shows_a_mistake_but_keeps_a_defects_traceback() -> None:
    with pytest.raises(SystemExit, match="^error: no such file; make one$"):
        start(lambda: raising(ValueError("no such file\n  make one")), "train")
    with pytest.raises(TypeError):
        start(lambda: raising(TypeError("a bug")), "train")


@pytest.mark.usefixtures("hydra_says")
def test_start_shows_everything_on_demand(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")
    with pytest.raises(ValueError, match="mistake"):
        start(lambda: raising(ValueError("mistake")), "train")


@pytest.mark.usefixtures("hydra_says")
@pytest.mark.parametrize(("signum", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_in_order_and_is_no_failure(
    signum: signal.Signals, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        start(lambda: signal.raise_signal(signum), "train")
    assert caught.value.code == code
    assert "the same command goes on" in capsys.readouterr().err


def test_message_is_what_the_constructor_said() -> None:
    error = InstantiationException("Error in call to target 'x'")
    error.__cause__ = ValueError("epochs=0: must be at least 1")
    assert message(error) == "epochs=0: must be at least 1"
    assert message(HydraException("alone")) == "alone"
    assert message(KeyError()) == "KeyError"


class Unpicklable(Exception):
    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)


def test_errors_travel_between_processes() -> None:
    with pytest.raises(RuntimeError, match="^Unpicklable: broken$"), portable():
        raise Unpicklable(3, "broken")
    with pytest.raises(OSError, match="disk full"), portable():
        raise OSError("disk full")
    with pytest.raises(ValueError, match="^why$"), portable():
        raise HydraException("what") from ValueError("why")


def _summary(text: str) -> str:
    return next(line for line in text.splitlines() if not line.startswith("# @")).lstrip("# ")
