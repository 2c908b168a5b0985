"""On a real SLURM: what a sweep submits, and that nothing that happens to its jobs changes what comes out."""

from __future__ import annotations

import csv
import json
import os
import re
import signal
from pathlib import Path

import pytest
import torch

from tests.slurm.workplace import Workplace, measured, weights

pytestmark = [pytest.mark.slurm, pytest.mark.timeout(2400)]

RUNS = {f"{distill}-seed{seed}" for distill in ("none", "identities") for seed in (1, 2)}


def log_of(place: Workplace, name: str) -> str:
    job = place.job(name)
    return (place.folder / f"outputs/{place.study}/slurm/logs/{job}_0_log.err").read_text()


def times(place: Workplace, name: str) -> tuple[str, str]:
    """Start and end of a job."""
    words = dict(
        word.partition("=")[::2] for word in place.slurm("scontrol", "show", "job", place.job(name)).split()
    )
    return words["StartTime"], words["EndTime"]


def comparison(place: Workplace) -> list[dict[str, str]]:
    """What the comparison says, but for what a clock measured."""
    table = (place.folder / "outputs" / place.study / "comparison.csv").read_text().splitlines()
    clocks = re.compile("latency|seconds|hours|memory|commit")
    return [{k: v for k, v in row.items() if not clocks.search(k)} for row in csv.DictReader(table)]


def test_a_sweep_trains_its_teacher_first_and_compares_last(undisturbed: Workplace) -> None:
    assert set(undisturbed.runs) == RUNS
    teacher, pupil = times(undisturbed, "teacher-reid"), times(undisturbed, "oim-tiny-reid-identities-seed1")
    assert teacher[1] <= pupil[0] and len(list((undisturbed.folder / "outputs/teachers").glob("reid-*"))) == 1
    ends = [times(undisturbed, f"oim-tiny-{run}")[1] for run in ("none-none-seed2", "reid-identities-seed2")]
    assert max(ends) <= times(undisturbed, "comparison")[0]
    assert {row["distill"] for row in comparison(undisturbed)} >= {"none", "identities"}
    job = undisturbed.slurm("scontrol", "show", "job", undisturbed.job("oim-tiny-none-none-seed1"))
    assert "gres:gpu:1" in job.replace("gres/gpu", "gres:gpu").replace("=", ":")


def test_jobs_run_the_code_that_was_there_when_they_were_submitted(undisturbed: Workplace) -> None:
    [frozen] = (undisturbed.folder / "outputs/sweep/code").iterdir()
    known = json.loads((frozen / "code.json").read_text())
    assert len(known["commit"]) == 40 and known["dirty"] is False
    results = json.loads((undisturbed.runs["none-seed1"] / "results.json").read_text())
    assert {key: results["code"][key] for key in known} == known and len(results["code"]["closure"]) == 12
    assert "edited after" not in (frozen / "psearch/studies/train.py").read_text()


def test_what_a_run_leaves_is_nobodys_to_change(undisturbed: Workplace) -> None:
    outputs = undisturbed.folder / "outputs"
    assert not [path for path in outputs.rglob("*") if not path.is_symlink() and path.stat().st_mode & 0o022]
    assert (outputs / "sweep/slurm").stat().st_mode & 0o777 == 0o700


def test_preempted_requeued_killed_cancelled_and_still_the_same(
    workplace: Workplace, undisturbed: Workplace
) -> None:
    place = workplace
    place.submit("logger=wandb", "logger.mode=offline", "logger.system_metrics=false")
    place.until(lambda: place.rows("none-seed1") >= 5)
    urgent = ["sbatch", "--partition=urgent", "--gpus-per-node=2", "--output=/dev/null", "--wrap=sleep 3"]
    place.slurm(*urgent)  # takes both GPUs: all that runs is warned and requeued
    place.until(lambda: place.restarts("oim-tiny-none-none-seed1") == 1)
    assert 5 <= place.rows("none-seed1") < 160
    place.until(lambda: place.rows("none-seed2") >= 5)
    place.slurm("scontrol", "requeue", place.job("oim-tiny-none-none-seed2"))  # without a warning

    place.until(lambda: place.rows("identities-seed1") >= 5)
    os.kill(place.process("identities-seed1"), signal.SIGKILL)
    place.until(lambda: place.rows("identities-seed2") >= 5)
    place.slurm("scancel", place.job("oim-tiny-reid-identities-seed2"))
    place.wait()
    told = place.python("status", place.study)
    assert re.search(r"identities-seed2-\w+ +cancelled", told), told
    assert re.search(r"identities-seed1-\w+ +failed", told) and "4 done" in told.splitlines()[-1], told

    again = place.python("resubmit", place.study)
    assert again.count("oim-tiny-reid-identities") == 2 and "none-none" not in again
    place.wait()
    assert "6 done" in place.python("status", place.study)
    for run in RUNS:
        ours, theirs = weights(place.runs[run]), weights(undisturbed.runs[run])
        assert ours.keys() == theirs.keys() and all(torch.equal(ours[key], theirs[key]) for key in ours), run
        assert measured(place.runs[run]) == measured(undisturbed.runs[run])
        assert len({path.name.split("-")[-1] for path in place.runs[run].glob("wandb/offline-run-*")}) == 1
    assert comparison(place) == comparison(undisturbed)
    assert "SIGUSR2: everything so far is saved" in log_of(place, "oim-tiny-none-none-seed1")


def test_a_teacher_that_fails_is_not_tried_again_and_takes_only_its_pupils_along(
    workplace: Workplace,
) -> None:
    place = workplace
    place.submit("seed=1", "teacher.reid.trainer.optimizer.lr=1e30", "trainer.epochs=2")
    place.wait()
    told = place.python("status", place.study)
    assert re.search(r"teacher-reid-\w+ +failed", told) and "FloatingPointError: training broke down" in told
    assert re.search(r"identities-seed1-\w+ +cancelled", told)
    assert place.restarts("teacher-reid") == 0 and set(place.runs) == {"none-seed1"}
    assert len(comparison(place)) == 1
    assert "teacher-reid" in place.python("resubmit", place.study)


def test_what_waits_is_not_submitted_twice_and_can_be_cancelled(workplace: Workplace) -> None:
    place = workplace
    assert "4 runs" in place.submit("--dry-run") and not place.queue()
    held = "+hydra.launcher.additional_parameters.hold=true"
    place.submit(held)
    assert len(place.queue()) == 6
    assert "nothing to submit" in place.submit(held)
    assert "5 pending" in place.python("status", place.study) or "6 pending" in place.python(
        "status", place.study
    )
    assert "6 jobs cancelled" in place.python("cancel", place.study)
    place.until(lambda: not place.queue())
    assert "6 cancelled" in place.python("status", place.study)
    assert not list(Path(place.folder, "outputs").glob("*/*/metrics.jsonl"))
