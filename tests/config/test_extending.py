"""docs/extending.md, file by file and command by command, as its reader does it, by the program `psearch`."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from textwrap import dedent

import pytest

from psearch.__main__ import main
from tests.study import TINY, teachers

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "docs" / "extending.md").read_text()
FILES = dict(re.findall(r"^`([\w/]+\.\w+)`\n\n((?:    .*\n|\n)+)", TEXT, re.MULTILINE))
COMMANDS = [line.strip() for line in TEXT.splitlines() if line.startswith("    psearch ")]
HELP, PREVIEW, STUDY, COMPARE, INLINE, EVALUATE, COMPARE_AGAIN, RESUBMIT = COMMANDS

Psearch = Callable[..., str]


@pytest.fixture
def here(tmp_path: Path) -> Path:
    """The reader's directory; the program lies elsewhere, as an installed script does."""
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(dedent(text))
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/psearch").write_text("from psearch.__main__ import main\nmain()\n")
    return tmp_path


@pytest.fixture
def psearch(here: Path) -> Psearch:
    def run(command: str, *more: str, fails: bool = False) -> str:
        words = [sys.executable, "bin/psearch", *shlex.split(command)[1:], *more]
        environment = {key: value for key, value in os.environ.items() if key != "HYDRA_FULL_ERROR"}
        environment |= {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
        done = subprocess.run(words, cwd=here, env=environment, capture_output=True, text=True, timeout=240)
        assert (done.returncode != 0) == fails, done.stdout + done.stderr
        return done.stderr if fails else done.stdout

    return run


def test_the_document_has_its_example() -> None:
    assert set(FILES) == {
        "mypackage/nearer.py",
        "mine/distill/nearer.yaml",
        "mine/compression/micro.yaml",
        "mine/experiment/mine.yaml",
    }


@pytest.fixture
def inside(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Psearch]:
    """The program without a process of its own: what it prints, or the error it ends with."""
    monkeypatch.chdir(here)
    monkeypatch.setattr(sys, "path", [place for place in sys.path if place not in ("", str(here))])
    monkeypatch.delenv("HYDRA_FULL_ERROR", raising=False)

    def run(command: str) -> str:
        monkeypatch.setattr(sys, "argv", shlex.split(command))
        try:
            main()
        except SystemExit as end:
            return str(end)
        return capsys.readouterr().out

    yield run
    for name in [name for name in sys.modules if name.split(".")[0] == "mypackage"]:
        del sys.modules[name]


def test_help_and_preview_know_the_directory(inside: Psearch) -> None:
    text = inside(HELP)
    assert re.search(r"^    mine +The micro student alone", text, re.MULTILINE)
    assert re.search(r"^    micro +tiny with half its channels", text, re.MULTILINE)
    told = inside(PREVIEW)
    assert "1 teachers to train, 2 runs" in told and "oim-micro-reid-nearer-seed1" in told
    assert inside("psearch train hydra.searchpath=[file://mine] -m experiment=mine --dry-run") == told


@pytest.mark.parametrize(
    ("mistake", "says"),
    [
        ("--config-dir mine experiment=mien", "error: experiment=mien: no such choice; did you mean 'mine'"),
        (
            "--config-dir mien experiment=mine",
            "error: there is no directory .*mien to take",
        ),
        ("--config-dir . seed=1", "error: --config-dir .* holds outputs/, whose files are not to be trusted"),
        (
            "--config-dir mine teacher=reid distill=nearer +distill.nearer.powre=1",
            "error: .*did you mean 'distill.nearer.power'",
        ),
        ("extensions=mypackage", r"error: .*write extensions=\[mypackage\], a list of modules"),
        ("-m extensions=mypackage,os", r"error: .*write extensions=\[a,b\]"),
        (
            "extensions=[mypackages] +distill.a={_target_: mypackages.A}",
            "error: distill.a: cannot import",
        ),
        (
            "+distill.a={_target_: mypackage.nearer.Nearer}",
            "error: distill.a: _target_ mypackage.* is refused",
        ),
        (
            "extensions=[mypackage] +distill.a={_target_: mypackage.nearer.distributed.all_gather}",
            "error: distill.a: cannot import",
        ),
        (
            "extensions=[mypackage] +distill.a={_target_: mypackage.nearer.matched_foreground}",
            "error: distill.a: _target_ mypackage.nearer.matched_foreground is refused",
        ),
    ],
)
def test_mistakes_are_told_in_a_line(inside: Psearch, mistake: str, says: str) -> None:
    options, braced, node = mistake.partition("+distill.a=")
    told = inside(f"psearch train {options} {shlex.quote(braced + node) if node else ''}")
    assert re.match(says, told) and "\n" not in told


def test_a_group_of_your_own(inside: Psearch, here: Path) -> None:
    (here / "mine/loading").mkdir()
    (here / "mine/loading/strong.yaml").write_text("# @package student.loading\n# No mirrors\nflip: 0\n")
    command = "psearch train --config-dir mine +loading=strong --cfg job --package student.loading"
    assert "flip: 0\n" in inside(command)
    assert re.search(r"^  loading\n +strong +No mirrors", inside(HELP), re.MULTILINE)


def test_the_study_runs_in_processes_of_its_own_and_is_compared(psearch: Psearch, here: Path) -> None:
    psearch(STUDY, *TINY, *teachers("reid")[1:])
    runs = (here / "outputs/nearer").glob("oim-micro-*/results.json")
    assert {json.loads(path.read_text())["variant"]["distill"] for path in runs} == {"none", "nearer"}
    [taught] = (here / "outputs/nearer").glob("*-nearer-*/metrics.jsonl")
    assert "distill/nearer" in taught.read_text()
    assert "mAP" in psearch(COMPARE)


def test_a_module_is_trusted_by_the_command_line_alone(psearch: Psearch, here: Path) -> None:
    psearch(INLINE, *TINY, *teachers("reid")[1:], "directory=one", "trainer.epochs=1")
    assert "extensions" not in (here / "outputs/one/config.yaml").read_text()
    psearch(EVALUATE.replace("FILE", "outputs/one/last.pt"), "device=cpu")
