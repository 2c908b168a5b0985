"""A run is known by content: what it is made from decides where it lies; a change is said and never mixed."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from hydra import initialize_config_dir
from PIL import Image

from psearch.identity import job_name
from psearch.launch.plan import Plan, make_plan
from psearch.records import RunRecord
from psearch.runs import checkpoint
from psearch.runs.config import RunConfig
from psearch.studies import ingredients
from psearch.studies.ingredients import data_of
from psearch.studies.train import run
from tests.data.published_layouts import small_coco
from tests.study import CONF, TINY, composed, teachers

TAUGHT = (*teachers("reid"), "distill=identities")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with a finished student that a re-ID teacher taught."""
    home, threads = tmp_path_factory.mktemp("made"), torch.get_num_threads()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(home)
        run(*composed("study=s", "trainer.epochs=1", *TAUGHT))
    torch.set_num_threads(threads)
    yield home


@pytest.fixture
def home(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it to spoil, and to stand in."""
    shutil.copytree(made, tmp_path / "copy")
    monkeypatch.chdir(tmp_path / "copy")
    return tmp_path / "copy"


def student(home: Path) -> Path:
    [path] = home.glob("outputs/s/oim-*/")
    return path


def teacher(home: Path) -> Path:
    [path] = home.glob("outputs/teachers/reid-*/")
    return path


def again(*more: str) -> None:
    run(*composed("study=s", "trainer.epochs=1", *TAUGHT, *more))


def plan(*more: str) -> Plan:
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return make_plan("train", [], [[*TINY, "study=s", "trainer.epochs=1", *TAUGHT, *more]])


def test_what_is_as_it_was_is_done_already(home: Path, caplog: pytest.LogCaptureFixture) -> None:
    before = (student(home) / "results.json").read_bytes()
    with caplog.at_level(logging.INFO):
        again()
    assert "done already\n" in caplog.text and (student(home) / "results.json").read_bytes() == before


@pytest.fixture
def other_code(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if an edit had changed what decides a student's result, and not its teacher's."""
    monkeypatch.setattr(ingredients, "run_code", lambda config: "edited")
    monkeypatch.setattr("psearch.studies.train.run_code", lambda config: "edited")


@pytest.mark.usefixtures("other_code")
def test_a_run_made_by_other_code_is_kept_and_said(home: Path, caplog: pytest.LogCaptureFixture) -> None:
    before = (student(home) / "results.json").read_bytes()
    assert "1 done already (1 with other code or teachers: kept; rerun=stale" in plan().preview("here")
    with caplog.at_level(logging.INFO):
        again()
    assert "done already with other code (rerun=stale makes it again)" in caplog.text
    assert (student(home) / "results.json").read_bytes() == before


@pytest.mark.usefixtures("other_code")
def test_rerun_stale_makes_it_again_and_throws_nothing_away(home: Path) -> None:
    before = RunRecord.load(student(home))
    assert "0 teachers to train, 1 runs, 0 done already" in plan("rerun=stale").preview("here")
    again("rerun=stale")
    after = RunRecord.load(student(home))
    assert after.closure == "edited" != before.closure and after.metrics == before.metrics
    [kept] = (home / "outputs/s/.replaced").iterdir()
    assert RunRecord.load(kept).closure == before.closure and (kept / "last.pt").exists()


def test_a_damaged_teacher_is_made_again_and_its_students_are_unharmed(home: Path) -> None:
    network = checkpoint.load(teacher(home) / "last.pt")["network"]
    for name in ("last.pt", "previous.pt"):
        if (path := teacher(home) / name).exists():
            content = bytearray(path.read_bytes())
            content[len(content) // 2] ^= 0xFF
            path.write_bytes(content)
    before = (student(home) / "results.json").read_bytes()
    assert "1 teachers to train, 1 runs" in plan("seed=2").preview("here")
    again("seed=2")
    mended = checkpoint.load(teacher(home) / "last.pt")["network"]
    assert all(torch.equal(mended[key], value) for key, value in network.items())
    [first] = home.glob("outputs/s/*seed1*/results.json")
    assert first.read_bytes() == before


def test_another_file_under_a_teachers_path_is_another_run(home: Path) -> None:
    shutil.copyfile(teacher(home) / "last.pt", "mine.pt")

    def name() -> str:
        config, words = composed(*TAUGHT, "teacher.reid.checkpoint=mine.pt")
        return job_name(words, config.plain, data_of(config).whole)

    first = name()
    state = torch.load("mine.pt", weights_only=True)
    torch.save(state, "elsewhere.pt")  # the same weights, saved anew
    Path("elsewhere.pt").replace("mine.pt")
    assert name() == first
    key = next(iter(state["network"]))
    state["network"][key] = state["network"][key] + 1
    torch.save(state, "mine.pt")
    assert name() != first


def coco(root: str, *more: str) -> str:
    own = [text for text in TINY if not text.startswith("data.")]
    with initialize_config_dir(str(CONF), version_base="1.3"):
        [job] = make_plan("train", [], [[*own, "data=coco", f"data.root={root}", *more]]).jobs
    return job.name


def test_data_is_known_by_content_and_not_by_where_it_lies(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    small_coco(tmp_path / "here")
    shutil.copytree("here", "there")
    name = coco("here")
    assert {coco(root) for root in ("here/", "./here", str(tmp_path / "here"), "there")} == {name}
    picture = Image.open("there/images/0.png").convert("RGB")
    picture.putpixel((3, 3), (1, 2, 3))
    picture.save("there/images/0.png")
    assert coco("there") != name
    shutil.copytree("here", "again")
    text = Path("again/train.json").read_text()
    Path("again/train.json").write_text(text.replace('"person_id": 7', '"person_id": 9'))
    assert coco("again") != name


@pytest.mark.parametrize("default", ["trainer.clip=10", "trainer.clip=10.0", "~trainer.clip"])
def test_a_default_written_out_or_left_out_is_the_same_run(home: Path, default: str) -> None:
    assert plan(default).jobs[0].name == plan().jobs[0].name


def test_a_dry_run_tells_what_the_real_command_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    points = [
        [*TINY, "study=s", "trainer.epochs=1", *more]
        for more in ((), TAUGHT, (*TAUGHT, "seed=2"), (*TAUGHT, "trainer.workers=1"))
    ]
    with initialize_config_dir(str(CONF), version_base="1.3"):
        told = make_plan("train", [], points)
    for job in told.jobs:
        run(RunConfig.parse(job.config), job.variant)
    places: Any = {path.parent for path in tmp_path.glob("outputs/[st]*/*/results.json")}
    students = {(tmp_path / str(job.directory)).resolve() for job in told.jobs}
    trained = {tmp_path / "outputs/teachers" / key for key in told.teachers}
    assert {path.resolve() for path in places} == students | trained and len(students) == 3
    with initialize_config_dir(str(CONF), version_base="1.3"):
        assert "0 teachers to train, 0 runs, 3 done already" in make_plan("train", [], points).preview("here")
