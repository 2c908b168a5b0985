"""Outputs anywhere: every command from any working directory, also after they were moved."""

from __future__ import annotations

import json
import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from hydra import compose, initialize_config_dir
from hydra.core.utils import setup_globals

from psearch.cli.status import program
from psearch.config.compose import resolved
from psearch.config.overrides import check
from psearch.config.program import CONF
from psearch.runs import places
from psearch.studies.compare import compare_studies
from psearch.studies.evaluate import evaluate
from psearch.studies.train import run
from tests.study import composed, teachers

TAUGHT = ("study=s", "distill=identities", *teachers("reid"))


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A taught student, with outputs far from the working directory; its group may write there."""
    place = tmp_path_factory.mktemp("anywhere")
    threads, umask = torch.get_num_threads(), os.umask(0o002)
    (place / "work").mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place / "work")
        run(*composed(*TAUGHT, f"outputs={place}/scratch"))
        compare_studies([place / "scratch/s"], device="cpu")
    torch.set_num_threads(threads)
    os.umask(umask)
    yield place / "scratch"


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def status(*words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["psearch status", *words])
    program()


def test_all_that_is_written_lies_there(scratch: Path) -> None:
    assert not list((scratch.parent / "work").iterdir())
    assert {path.name for path in scratch.iterdir() if path.is_dir()} == {"data", "s", "teachers"}


def test_every_mode_is_what_the_umask_says(scratch: Path) -> None:
    """Of data, teachers, checkpoints, detections, pictures, the report: the group may write them all."""
    found = {path: stat.S_IMODE(path.stat().st_mode) for path in scratch.rglob("*")}
    assert len(found) > 30
    assert not [path for path, mode in found.items() if mode != (0o775 if path.is_dir() else 0o664)]


def test_the_record_names_no_machine(scratch: Path) -> None:
    [results] = (scratch / "s").glob("oim-*/results.json")
    assert str(scratch.parent) not in results.read_text()
    [teacher] = json.loads(results.read_text())["teachers"]
    assert teacher["directory"].startswith("outputs/teachers/reid-")


def test_a_study_is_compared_from_elsewhere_and_after_it_moved(scratch: Path, elsewhere: Path) -> None:
    for home in (scratch, scratch.with_name("moved")):
        for reference in [*scratch.glob("s/reid-*"), *scratch.glob("s/two-step-*")]:
            shutil.rmtree(reference)  # measured again, from the teacher that is to be found
        if home != scratch:
            scratch.rename(home)
        try:
            table = compare_studies([home / "s"], device="cpu")
        finally:
            if home != scratch:
                home.rename(scratch)
        assert "reid" in table and str(home / "s/report.html") in table
    assert not list(elsewhere.iterdir())


def test_a_checkpoint_is_evaluated_from_elsewhere(scratch: Path, elsewhere: Path) -> None:
    [last] = (scratch / "s").glob("oim-*/last.pt")
    with initialize_config_dir(str(CONF), version_base="1.3"):
        words = [f"checkpoint={last}", f"outputs={scratch}", "device=cpu"]
        config = resolved(check("evaluate", words)[0])
    evaluate(config)
    assert len(list((scratch / "evaluate").iterdir())) == 1 and not list(elsewhere.iterdir())


@pytest.mark.usefixtures("elsewhere")
def test_a_study_is_found_by_path_by_word_and_by_environment(
    scratch: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    said = set()
    for words, variable in (
        ((str(scratch / "s"),), ""),
        (("s", f"outputs={scratch}"), ""),
        (("s",), str(scratch)),
        (("s", f"outputs={scratch}"), "/nowhere"),
    ):
        with monkeypatch.context() as patch:
            if variable:
                patch.setenv(places.VARIABLE, variable)
            status(*words, monkeypatch=patch)
        said.add(capsys.readouterr().out)
    [text] = said
    assert "oim-tiny-reid-identities" in text and text.rstrip().endswith("1 done")
    with pytest.raises(SystemExit, match="there is no study s in outputs"):
        status("s", monkeypatch=monkeypatch)


def test_hydra_takes_the_environment_and_the_command_line_first(monkeypatch: pytest.MonkeyPatch) -> None:
    setup_globals()
    monkeypatch.setenv(places.VARIABLE, "/scratch/mine")
    with initialize_config_dir(str(CONF), version_base="1.3"):
        for words, home in (([], "/scratch/mine"), (["outputs=here"], "here")):
            cfg = compose("train", words, return_hydra_config=True)
            assert cfg.outputs == home and cfg.data.root == f"{home}/data"
            assert cfg.hydra.sweep.dir == f"{home}/default/.hydra"


def test_a_run_that_would_leave_outputs_is_refused_before_anything_is_made(elsewhere: Path) -> None:
    command = [sys.executable, "-m", "psearch", "train", "directory=../../x"]
    env = {**os.environ, "PYTHONPATH": str(CONF.parent)}
    refused = subprocess.run(command, cwd=elsewhere, env=env, capture_output=True, text=True)
    assert refused.returncode == 1 and "directory=../../x is not in outputs=outputs" in refused.stderr
    assert not list(elsewhere.iterdir())


@pytest.mark.parametrize("words", ["outputs=''", "study=evaluate", "outputs='~/x'", "directory=/x"])
def test_what_outputs_and_studies_cannot_be(words: str) -> None:
    with (
        initialize_config_dir(str(CONF), version_base="1.3"),
        pytest.raises(ValueError, match=r"outputs=|study="),
    ):
        check("train", [words])
