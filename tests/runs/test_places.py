"""Outputs anywhere: what the name or the path of a study or a run means."""

from __future__ import annotations

from pathlib import Path

import pytest

from psearch.runs import places


@pytest.fixture(autouse=True)
def working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv(places.VARIABLE, raising=False)
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "here"


def test_the_command_line_comes_before_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    assert places.outputs() == Path("outputs")
    monkeypatch.setenv(places.VARIABLE, "/scratch/mine")
    assert places.outputs() == Path("/scratch/mine") and places.outputs("here") == Path("here")
    assert places.studies(["one", "outputs=here", "two"]) == [Path("here/one"), Path("here/two")]
    assert places.studies(["one"]) == [Path("/scratch/mine/one")]


@pytest.mark.parametrize("folder", ["", " ", "~/outputs"])
def test_a_folder_that_cannot_be_meant_is_refused(folder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(places.VARIABLE, folder)
    with pytest.raises(ValueError, match="name a folder"):
        places.outputs()


def test_a_study_by_its_name_or_its_path(tmp_path: Path, working_directory: Path) -> None:
    assert places.study_directory("mine") == Path("outputs/mine")
    assert places.study_directory("outputs/mine") == Path("outputs/mine")
    assert places.study_directory(tmp_path / "o" / "mine") == tmp_path / "o" / "mine"
    assert places.study_directory("..") == tmp_path and places.study_directory(".") == working_directory
    Path("mine").mkdir()
    assert places.study_directory("mine") == Path("mine")
    Path("outputs/mine").mkdir(parents=True)  # a name means what lies in outputs first
    assert places.study_directory("mine") == Path("outputs/mine")


def test_the_word_of_a_study_means_that_study(tmp_path: Path) -> None:
    for study in (Path("outputs/mine"), tmp_path / "o" / "mine"):
        assert places.study_directory(places.command_word(study)) == study
    assert places.command_word(Path("outputs/mine")) == "mine"
    assert places.outputs_of(tmp_path / "o" / "mine") == tmp_path / "o"


@pytest.mark.parametrize("given", ["outputs/s/x", "s/x", "../here/outputs/s/x"])
def test_a_run_directory_of_ones_own_choice(given: str) -> None:
    found = places.run_directory(Path("outputs"), "study", "name", given)
    assert found.resolve() == Path("outputs/s/x").resolve()
    assert places.run_directory(Path("outputs"), "study", "name") == Path("outputs/study/name")


@pytest.mark.parametrize("given", ["../../x", "/x", "..", ".", "", "s/../../x"])
def test_a_run_does_not_leave_outputs(given: str) -> None:
    with pytest.raises(ValueError, match="is not in outputs="):
        places.run_directory(Path("outputs"), "study", "name", given)


def test_outputs_may_be_a_link(tmp_path: Path) -> None:
    (tmp_path / "scratch").mkdir()
    Path("outputs").symlink_to(tmp_path / "scratch")
    given = tmp_path / "scratch/s/x"
    assert places.run_directory(Path("outputs"), "study", "name", given) == given
    assert places.recorded(Path("outputs/teachers/t"), Path("outputs")) == "outputs/teachers/t"


def test_a_record_names_no_machine_and_is_found_again_anywhere(tmp_path: Path) -> None:
    home = tmp_path / "scratch"
    (home / "teachers/t").mkdir(parents=True)
    record = places.recorded(home / "teachers/t", home)
    assert record == "outputs/teachers/t" and places.located(record, home) == home / "teachers/t"
    home.rename(tmp_path / "moved")
    assert places.located(record, tmp_path / "moved") == tmp_path / "moved/teachers/t"
    for written in (record, home / "teachers/t"):  # the second as records were written before
        assert places.located(written, tmp_path / "moved") == tmp_path / "moved/teachers/t"
    assert places.recorded(Path("elsewhere/t"), home) == "elsewhere/t"


def test_what_lies_elsewhere_is_found_where_the_record_says(tmp_path: Path) -> None:
    (tmp_path / "theirs/t").mkdir(parents=True)
    record = places.recorded(tmp_path / "theirs/t", Path("outputs"))
    assert places.located(record, Path("outputs")) == tmp_path / "theirs/t"


def test_a_config_moves_with_its_outputs() -> None:
    config = {
        "outputs": "outputs",
        "data": {"root": "outputs/data", "seed": 0},
        "list": ["outputs/x", "outputsx"],
        "logger": {"root": "data"},
    }
    moved = places.moved(config, Path("/new"))
    assert moved == {
        "outputs": "/new",
        "data": {"root": "/new/data", "seed": 0},
        "list": ["/new/x", "outputsx"],
        "logger": {"root": "data"},
    }
    assert places.moved(moved, Path("outputs")) == config
    assert places.moved({"data": {"root": "outputs/data"}}, Path("/new")) == {"data": {"root": "/new/data"}}
