"""Outputs anywhere: every command from any working directory, also after they were moved."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from hydra import compose, initialize_config_dir
from hydra.core.utils import setup_globals

from psearch.config.compose import resolved
from psearch.config.overrides import check
from psearch.config.program import CONF
from psearch.runs import places
from psearch.studies.compare import compare_studies
from psearch.studies.evaluate import evaluate
from psearch.studies.train import run
from tests.study import composed, teachers

ROOT = CONF.parent
TAUGHT = ("study=s", "distill=identities", *teachers("reid"))


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A taught student, with outputs far from the working directory."""
    place = tmp_path_factory.mktemp("anywhere")
    threads = torch.get_num_threads()
    (place / "work").mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place / "work")
        run(*composed(*TAUGHT, f"outputs={place}/scratch"))
    torch.set_num_threads(threads)
    yield place / "scratch"


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def command(*words: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "PYTHONPATH": str(ROOT), **environment}
    line = [sys.executable, "-m", "psearch", *words]
    return subprocess.run(line, cwd=cwd, env=env, capture_output=True, text=True)


def test_all_that_is_written_lies_there(scratch: Path) -> None:
    assert not list((scratch.parent / "work").iterdir())
    assert {path.name for path in scratch.iterdir() if path.is_dir()} == {"data", "s", "teachers"}


def test_the_record_names_no_machine(scratch: Path) -> None:
    [results] = (scratch / "s").glob("*/results.json")
    assert str(scratch.parent) not in results.read_text()
    [teacher] = json.loads(results.read_text())["teachers"]
    assert teacher["directory"].startswith("outputs/teachers/reid-")


def test_a_study_is_compared_from_elsewhere_and_after_it_moved(scratch: Path, elsewhere: Path) -> None:
    for home in (scratch, scratch.with_name("moved")):
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


def test_a_study_is_found_by_path_by_word_and_by_environment(scratch: Path, elsewhere: Path) -> None:
    said = {
        command(*words, cwd=elsewhere, **environment).stdout
        for words, environment in (
            (("status", str(scratch / "s")), {}),
            (("status", "s", f"outputs={scratch}"), {}),
            (("status", "s"), {places.VARIABLE: str(scratch)}),
            (("status", "s", f"outputs={scratch}"), {places.VARIABLE: "/nowhere"}),
        )
    }
    [text] = said
    assert "oim-tiny-reid-identities" in text and text.rstrip().endswith("1 done")
    missing = command("status", "s", cwd=elsewhere)
    assert missing.returncode == 1 and "error: there is no study s in outputs" in missing.stderr


def test_hydra_takes_the_environment_and_the_command_line_first(monkeypatch: pytest.MonkeyPatch) -> None:
    setup_globals()
    monkeypatch.setenv(places.VARIABLE, "/scratch/mine")
    with initialize_config_dir(str(CONF), version_base="1.3"):
        for words, home in (([], "/scratch/mine"), (["outputs=here"], "here")):
            cfg = compose("train", words, return_hydra_config=True)
            assert cfg.outputs == home and cfg.data.root == f"{home}/data"
            assert cfg.hydra.sweep.dir == f"{home}/default/.hydra"


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["directory=../../x"], "directory=../../x is not in outputs=outputs"),
        (["outputs=''"], "outputs=: name a folder"),
        (["study=evaluate"], "study=evaluate"),
    ],
)
def test_what_leaves_outputs_is_refused_before_anything_is_made(
    elsewhere: Path, words: list[str], says: str
) -> None:
    refused = command("train", *words, cwd=elsewhere)
    assert refused.returncode == 1 and says in refused.stderr
    assert not list(elsewhere.iterdir())
