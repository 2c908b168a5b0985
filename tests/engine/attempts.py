"""A real study in small, run in processes that a test may do anything to."""

from __future__ import annotations

import csv
import os
import re
import signal
import sys
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from hydra import initialize_config_dir

from psearch.config.program import CONF
from psearch.engine.signals import Interrupted
from psearch.launch.plan import Job, make_plan
from psearch.runs.config import RunConfig
from psearch.studies.compare import compare_studies
from psearch.studies.train import run

TINY = """
    study=s compression=tiny teacher=reid device=cpu logger=jsonl
    trainer.epochs=3 trainer.batch_size=4 trainer.log_every=1
    teacher.reid.trainer.epochs=1 teacher.reid.trainer.batch_size=8 data.height=64 data.width=96
    data.train_scenes=16 data.val_scenes=8 data.test_scenes=16 data.train_identities=8
    data.val_identities=4 data.test_identities=8 data.queries=4 data.gallery_size=-1 data.workers=1
"""
CLOCKS = re.compile("latency|seconds|hours|memory|commit")
Act = Callable[[], object]


def jobs(*more: str) -> tuple[Job, ...]:
    """The student alone and one taught by a teacher that must be trained first."""
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return make_plan(
            "train", [], [[*TINY.split(), f"distill={d}", *more] for d in ("none", "identities")]
        ).jobs


def study(todo: Sequence[Job]) -> None:
    """Everything that a sweep does, in this process and folder."""
    for job in todo:
        run(RunConfig.parse(job.config), job.variant)
    compare_studies([Path("outputs/s")])


def begin(folder: Path, work: Act, first: Act = lambda: None) -> int:
    """Start a process in a folder; answers its id. first: done in it before the work."""
    pid = os.fork()
    if pid:
        return pid
    status = 70
    try:
        folder.mkdir(parents=True, exist_ok=True)
        os.chdir(folder)
        sys.stdout = sys.stderr = output_of(folder).open("a")
        for signum in (signal.SIGTERM, signal.SIGUSR2):
            signal.signal(signum, signal.SIG_DFL)
        first()
        work()
        status = 0
    except Interrupted as stop:
        status = stop.exit_code
    except BaseException:
        traceback.print_exc()
        sys.stderr.flush()
    finally:
        os._exit(status)


def output_of(folder: Path) -> Path:
    """What the processes that worked in a folder said: beside it, as its disk may be full."""
    return folder.with_name(f"{folder.name}-output.txt")


def end(pid: int) -> int:
    """Wait for a process: 0, its exit status, or minus the signal that killed it."""
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def attempt(folder: Path, work: Act, first: Act = lambda: None) -> int:
    return end(begin(folder, work, first))


def outcome(folder: Path) -> dict[str, Any]:
    """All that a study ends with, but for what a clock measured."""
    found: dict[str, Any] = {}
    for checkpoint in sorted((folder / "outputs").glob("*/*/last.pt")):
        state = torch.load(checkpoint, weights_only=True)
        for part in ("network", "criterion"):
            for key, value in state[part].items():
                found[f"{checkpoint.parent.name}.{part}.{key}"] = value.tolist()
    with (folder / "outputs/s/comparison.csv").open() as table:
        found["comparison"] = [
            {k: v for k, v in row.items() if not CLOCKS.search(k)} for row in csv.DictReader(table)
        ]
    return found
