"""What `psearch.status` says of a run, from what lies in its directory and what SLURM knows."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from psearch.launch.slurm import queue
from psearch.launch.slurm.ledger import Entry, Ledger
from psearch.launch.slurm.states import State, states
from psearch.runs.directory import acquire


@pytest.fixture
def study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("outputs/mine").mkdir(parents=True)
    return Path("outputs/mine")


def run_directory(study: Path, name: str, *, epoch: float = 0, results: object = None) -> Path:
    place = study / name
    place.mkdir()
    (place / "config.yaml").write_text(yaml.safe_dump({"trainer": {"epochs": 10, "batch_size": 4}}))
    if epoch:
        row = {"epoch": epoch, "step": 100 * epoch, "train/total": 2.5, "train/images_per_s": 8.0}
        (place / "metrics.jsonl").write_text(json.dumps(row) + '\n{"summary": {}}\n{"epo')
    if results is not None:
        (place / "results.json").write_text(json.dumps(results))
    return place


def submitted(study: Path, name: str, job: str, time: float = 0) -> None:
    log = study / f"{job}.err"
    with Ledger(study).open() as ledger:
        ledger.add([Entry(job, name, str(study / name), (), (), (), "code", str(log), time)])


@pytest.fixture
def slurm(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    def says(active: dict[str, str] | None = None, ended: dict[str, str] | None = None) -> None:
        monkeypatch.setattr(queue, "active", lambda: active or {})
        monkeypatch.setattr(
            queue, "ended", lambda jobs: {j: (ended or {})[j] for j in jobs if j in (ended or {})}
        )

    return says


def test_runs_without_a_cluster(study: Path) -> None:
    run_directory(study, "a-done", results={"status": "ok", "role": "student", "metrics": {"mAP": 0.25}})
    run_directory(study, "b-stopped", epoch=4)
    failed = run_directory(study, "c-failed")
    (failed / "FAILED").write_text(
        json.dumps({"error": "x", "traceback": "one\n  two\nthree\nValueError: x\n"})
    )
    run_directory(study, "teacher", results={"status": "ok", "role": "teacher", "metrics": {}})
    with acquire(study / "d-running", {"trainer": {"epochs": 10, "batch_size": 4}}):
        (study / "d-running/metrics.jsonl").write_text((study / "b-stopped/metrics.jsonl").read_text())
        done, stopped, wrong, running = states(study)
    assert done == State("a-done", "done", "100 %", "mAP 0.250", log=done.log)
    assert stopped == State("b-stopped", "stopped", "40 %", "train/total 2.5", log=stopped.log)
    assert wrong.state == "failed" and wrong.error == ("  two", "three", "ValueError: x")
    assert (running.state, running.progress) == ("running", "40 %, 0:05:00 left")  # 600 steps of 4 at 8 per s


def test_what_slurm_says_of_jobs(study: Path, slurm: Callable[..., None]) -> None:
    for number, name in enumerate(["waits", "runs", "out-of-memory", "called-off", "never-seen"]):
        submitted(study, name, f"7_{number}")
    run_directory(study, "runs", epoch=1)
    (study / "7_2.err").write_text("a\nb\nslurmstepd: oom_kill\n")
    slurm(
        active={"7_0": "pending (Dependency)", "7_1": "running"},
        ended={"7_2": "out_of_memory", "7_3": "cancelled"},
    )
    found = {state.name: state for state in states(study)}
    assert found["waits"].state == "pending (Dependency)"
    assert found["runs"].progress == "10 %, 0:07:30 left"
    assert found["out-of-memory"].error == ("a", "b", "slurmstepd: oom_kill")
    assert found["called-off"].state == "cancelled" and found["never-seen"].state == "missing"


def test_a_failure_of_an_earlier_attempt_is_not_this_ones(study: Path, slurm: Callable[..., None]) -> None:
    place = run_directory(study, "again")
    (place / "FAILED").write_text(json.dumps({"error": "old", "traceback": "old"}))
    submitted(study, "again", "8", time=(place / "FAILED").stat().st_mtime + 60)
    slurm(ended={"8": "failed"})
    assert states(study)[0].error == ()
    submitted(study, "again", "9", time=(place / "FAILED").stat().st_mtime - 60)
    slurm(ended={"9": "failed"})
    [state] = states(study)
    assert state.error == ("old",)


def test_a_slurm_that_does_not_answer_hides_nothing(study: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    submitted(study, "run", "7")
    run_directory(study, "run", epoch=5)
    monkeypatch.setenv("PATH", "")
    [state] = states(study)
    assert state.state.startswith("unknown (there is no squeue here") and state.progress == "50 %"


def test_there_is_no_such_study(study: Path) -> None:
    with pytest.raises(ValueError, match="there is no study other"):
        states(study.with_name("other"))


def test_the_ledger_loses_nothing_when_a_write_is_killed(study: Path) -> None:
    submitted(study, "run", "7")
    pid = os.fork()
    if not pid:
        os.replace = lambda *_: os.kill(os.getpid(), signal.SIGKILL)  # type: ignore[assignment]
        submitted(study, "run", "8")
    os.waitpid(pid, 0)
    assert [entry.job for entry in Ledger(study).entries()] == ["7"]
    submitted(study, "run", "9")
    assert Ledger(study).latest()["run"].job == "9"


def test_how_squeue_and_sacct_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answers = {
        "squeue": "12_0|RUNNING|None\n12_1|PENDING|Resources\n13|PENDING|Dependency",
        "sacct": "12_0|CANCELLED by 0\n12_1|NODE_FAIL\n14|COMPLETED\n15_[0-1,4%2]|CANCELLED",
    }
    for name, text in answers.items():
        (tmp_path / name).write_text(f"#!/bin/sh\ncat <<'X'\n{text}\nX\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    assert queue.active() == {"12_0": "running", "12_1": "pending (Resources)", "13": "pending (Dependency)"}
    assert queue.ended(["12_0", "12_1", "99"]) == {"12_0": "cancelled", "12_1": "node_fail"}
    assert queue.ended(["15_0", "15_1", "15_3", "15_4"]).keys() == {"15_0", "15_1", "15_4"}
    (tmp_path / "squeue").write_text("#!/bin/sh\necho 'Unable to contact slurm controller' >&2; exit 1\n")
    with pytest.raises(ValueError, match="squeue failed: Unable to contact"):
        queue.active()


@pytest.mark.parametrize("command", ["status", "cancel", "resubmit"])
def test_commands_refuse_in_one_line(command: str) -> None:
    root = Path(__file__).parents[2]
    line = [sys.executable, "-m", f"psearch.{command}", "no-such-study"]
    bare = {**os.environ, "PATH": ""}
    done = subprocess.run(line, cwd=root, env=bare, capture_output=True, text=True)
    assert done.returncode == 1 and len(done.stderr.splitlines()) == 1 and done.stderr.startswith("error: ")
