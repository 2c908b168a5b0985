"""`python -m psearch.sync`: what was logged offline arrives, once, and what cannot is said clearly."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

from psearch.cli import sync as command
from psearch.tracking.session import UNSENT
from psearch.tracking.upload import running, waiting
from psearch.tracking.wandb import Wandb
from tests.tracking.loopback import KEY, loopback
from tests.tracking.toy_run import FACTS, ROOT, account, environment, started


def sync(folder: Path, *studies: str, url: str = "", code: int = 0) -> str:
    """What the command says in `folder`."""
    variables = environment(folder, **(account(url) if url else {}), PYTHONPATH=str(ROOT))
    command = [sys.executable, "-m", "psearch.sync", *studies]
    done = subprocess.run(command, cwd=folder, env=variables, capture_output=True, text=True, timeout=60)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


def offline_run(directory: Path, value: float = 1.0, **facts: Any) -> Path:
    with Wandb(directory=directory, **{**FACTS, **facts}) as tracker:
        tracker.log({"train/total": value}, step=1)
        tracker.table("comparison", ["variant"], [["alone"]])
    return directory


def folder_of_a_run(run: Path, name: str, *, size: int = 100, files: tuple[str, ...] = ()) -> Path:
    folder = run / "wandb" / name
    folder.mkdir(parents=True)
    (folder / "run-abc.wandb").write_bytes(b"x" * size)
    for file in files:
        (folder / file).touch()
    return folder


def test_what_waits_is_what_no_server_has(tmp_path: Path) -> None:
    later = folder_of_a_run(tmp_path, "offline-run-20260102_000000-abc")
    cut_off = folder_of_a_run(tmp_path, "run-20260101_000000-abc", files=(UNSENT,))
    folder_of_a_run(tmp_path, "run-20260103_000000-abc")
    folder_of_a_run(tmp_path, "offline-run-20260104_000000-abc", files=("run-abc.wandb.synced",))
    folder_of_a_run(tmp_path, "offline-run-20260105_000000-abc", size=7)  # killed before its first row
    assert waiting(tmp_path) == [cut_off, later]


def test_a_run_whose_directory_is_held_is_still_running(tmp_path: Path) -> None:
    assert not running(tmp_path)
    with FileLock(tmp_path / "run.lock"):
        assert running(tmp_path)
    assert not running(tmp_path)


@pytest.fixture
def study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two attempts of a run, the comparison, and the teacher the run learned from."""
    for name, value in environment(tmp_path).items():
        monkeypatch.setenv(name, value)
    study, teacher = tmp_path / "outputs" / "mine", tmp_path / "outputs" / "teachers" / "reid-1"
    for value in (2.0, 1.0):
        offline_run(study / "run", value)
    offline_run(study / ".comparison", study="mine", job_type="comparison", name="comparison of mine")
    offline_run(teacher, study="teachers", job_type="teacher")
    offline_run(tmp_path / "outputs" / "teachers" / "nobody's", study="teachers", job_type="teacher")
    (study / "run" / "results.json").write_text(
        json.dumps({"status": "ok", "teachers": [{"directory": "outputs/teachers/reid-1"}]})
    )
    return study


def test_a_study_is_uploaded_once_with_its_teachers_and_comparison(study: Path, tmp_path: Path) -> None:
    with loopback() as server:
        with FileLock(study / ".comparison" / "run.lock"):
            said = sync(tmp_path, "mine", url=server.url)
        assert "comparison is still running" in said and "2 runs uploaded" in said
        assert f"uploading 2 of 3 runs to {server.url}" in said
        assert "1 runs uploaded" in sync(tmp_path, "outputs/mine", url=server.url)
    assert {run.facts["jobType"] for run in server.runs.values()} == {"student", "comparison", "teacher"}
    run = server.runs[(study / "run" / "wandb_id").read_text()]
    assert [row["train/total"] for row in run.history if "train/total" in row] == [2, 1]
    assert any(name.endswith("comparison.table.json") and name.startswith("run-") for name in server.files)
    assert server.unknown == set()


def test_a_killed_job_keeps_its_rows_for_the_server(tmp_path: Path) -> None:
    run = tmp_path / "outputs" / "mine" / "run"
    with loopback() as server:
        job = started(run, tmp_path, "--pause", url=server.url, mode="offline")
        assert job.stdout is not None and job.stdout.readline() == "half\n"
        time.sleep(1.5)  # the log goes to disk every second; wandb's own default is 15 s
        job.kill()
        job.communicate()
        assert "1 runs uploaded" in sync(tmp_path, "mine", url=server.url)
    [received] = server.runs.values()
    assert [row["step"] for row in received.history] == [10] and received.exit_code == 1


def test_what_cannot_be_done_is_said(study: Path, tmp_path: Path) -> None:
    assert "set WANDB_API_KEY or run `wandb login`" in sync(tmp_path, "mine", code=1)
    nobody = sync(tmp_path, "mine", url="http://127.0.0.1:9", code=1)
    assert "http://127.0.0.1:9 cannot be reached" in nobody and KEY not in nobody
    assert len(waiting(study / "run")) == 2


def test_there_may_be_nothing_to_do(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "plain" / "run").mkdir(parents=True)
    command.sync([tmp_path / "plain"])
    assert "no run of these studies used wandb" in capsys.readouterr().out
    with pytest.raises(ValueError, match="there is no study yours in"):
        command.sync([tmp_path / "yours"])
