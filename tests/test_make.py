"""The Makefile: what it lists, and that a step that fails fails make."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def make(*arguments: str, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["make", *arguments], cwd=cwd, capture_output=True, text=True)


def test_help_lists_every_target() -> None:
    targets = re.search(r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text(), re.M)
    assert targets is not None
    listed = make("help").stdout
    for target in targets[1].split():
        assert re.search(rf"^  make {target}\s+\w", listed, re.M), target


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A folder with this Makefile, and tools that note what they were called with."""
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        (tmp_path / name).write_text((ROOT / name).read_text())
    (tmp_path / ".venv/bin").mkdir(parents=True)
    for tool in ("python", "ruff", "mypy", "uv"):
        (tmp_path / ".venv/bin" / tool).write_text(
            f'#!/bin/sh\necho "{tool} $*" >> calls\ntest ! -e fail-{tool}\n'
        )
        (tmp_path / ".venv/bin" / tool).chmod(0o755)
    return tmp_path


def calls(checkout: Path) -> list[str]:
    return (checkout / "calls").read_text().splitlines()


def test_setup_is_done_once_until_the_dependencies_change(checkout: Path) -> None:
    assert make("setup", cwd=checkout).returncode == 0
    assert [
        call for call in calls(checkout) if call.startswith("uv pip install") and "-c constraints.txt" in call
    ]
    before = calls(checkout)
    assert make("setup", cwd=checkout).returncode == 0
    assert calls(checkout) == before
    [stamp] = (checkout / ".venv").glob(".*installed")
    os.utime(stamp, (0, 0))
    assert make("setup", cwd=checkout).returncode == 0
    assert len(calls(checkout)) > len(before)


def test_run_is_the_default_study(checkout: Path) -> None:
    assert make("run", "ARGS=seed=1,2,3", cwd=checkout).returncode == 0
    assert calls(checkout)[-1] == "python -m psearch.train -m experiment=default seed=1,2,3"


@pytest.mark.parametrize("tool", ["uv", "ruff", "mypy", "python"])
def test_a_step_that_fails_fails_make_test(checkout: Path, tool: str) -> None:
    (checkout / f"fail-{tool}").touch()
    assert make("test", cwd=checkout).returncode != 0


def test_an_old_python_is_refused_with_what_to_do(checkout: Path) -> None:
    (checkout / "old").write_text("#!/bin/sh\nexit 1\n")
    (checkout / "old").chmod(0o755)
    done = make("setup", "PYTHON=./old", cwd=checkout)
    assert done.returncode != 0
    assert "./old is not Python 3.11 or newer" in done.stderr and "PYTHON=" in done.stderr
