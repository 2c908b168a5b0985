"""How the runs of a study are doing, from their directories, the ledger and SLURM."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from psearch.files import is_held
from psearch.launch.slurm import queue
from psearch.launch.slurm.ledger import COMPARISON, Entry, Ledger
from psearch.records import CONFIG, RunRecord, read_config
from psearch.runs.directory import is_finished
from psearch.runs.places import outputs_of, teachers_directory
from psearch.studies.teachers import ready

LINES = 3
"""Of an error that are shown."""


@dataclass(frozen=True)
class State:
    """One run. state: done, running, pending (reason), failed, cancelled, …; error: its last lines."""

    name: str
    state: str
    progress: str = ""
    metric: str = ""
    error: tuple[str, ...] = ()
    log: Path | None = None


def states(study: Path) -> list[State]:
    """All runs of a study, those of its ledger first. Raises ValueError if there is no such study."""
    if not study.is_dir():
        raise ValueError(f"there is no study {study.name} in {study.parent}")
    latest = Ledger(study).latest()
    active, note = _active(latest)
    ended = queue.ended([entry.job for entry in latest.values() if entry.job not in active])
    found = [_submitted(study, e, active.get(e.job), ended.get(e.job, note)) for e in latest.values()]
    known = {Ledger(study).located(entry.directory) for entry in latest.values() if entry.directory}
    others = sorted(path.parent for path in study.glob("*/config.yaml"))
    return found + [_local(path) for path in others if path not in known and not _is_reference(path)]


def _active(latest: dict[str, Entry]) -> tuple[dict[str, str], str]:
    if not latest:
        return {}, ""
    try:
        return queue.active(), "missing"
    except ValueError as error:
        return {}, f"unknown ({error})"


def _submitted(study: Path, entry: Entry, active: str | None, ended: str) -> State:
    directory, home = _directory(study, entry), teachers_directory(outputs_of(study))
    trained = all(ready(key, home) for key in entry.trains)
    finished = trained if entry.trains else directory and is_finished(directory)
    output = Ledger(study).located(entry.log)
    log = directory / "log.txt" if directory and (directory / "log.txt").exists() else output
    if directory is not None and finished and entry.name != COMPARISON:
        return State(entry.name, "done", "100 %", _metric(directory), log=log)
    progress = metric = ""
    if directory is not None and entry.name != COMPARISON:
        progress, metric = _progress(directory, running=active == "running"), _metric(directory)
    if active is not None:
        return State(entry.name, active, progress, metric, log=log)
    if ended == "completed" and entry.name == COMPARISON:
        return State(entry.name, "done", metric="report.html", log=log)
    error = tuple(_error(directory, output, entry.time)) if ended not in ("cancelled",) else ()
    return State(entry.name, ended, progress, metric, error, log)


def _local(directory: Path) -> State:
    """A run that no job of the ledger is for."""
    log = directory / "log.txt"
    if is_finished(directory):
        return State(directory.name, "done", "100 %", _metric(directory), log=log)
    running = is_held(directory / "run.lock")
    failed = (directory / "FAILED").exists()
    state = "running" if running else "failed" if failed else "stopped"
    error = tuple(_error(directory)) if state == "failed" else ()
    return State(directory.name, state, _progress(directory, running=running), _metric(directory), error, log)


def _directory(study: Path, entry: Entry) -> Path | None:
    if entry.directory is not None:
        return Ledger(study).located(entry.directory)
    if entry.name == COMPARISON:
        return study
    home = teachers_directory(outputs_of(study))
    teachers = [place for name in entry.trains if (place := home / name).is_dir()]
    return next((place for place in teachers if not is_finished(place)), next(iter(teachers), None))


def _is_reference(directory: Path) -> bool:
    record = RunRecord.read(directory)
    return record is not None and record.role in ("teacher", "two_step")


def _rows(directory: Path) -> Iterator[dict[str, Any]]:
    """Rows of metrics.jsonl, the last first."""
    path = directory / "metrics.jsonl"
    for line in reversed(path.read_text(errors="replace").splitlines()) if path.exists() else ():
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(row, dict) and row.get("step"):
            yield row


def _progress(directory: Path, *, running: bool) -> str:
    """`40 %`, and of a running training the time left at its present pace, but for the evaluation."""
    row = next((row for row in _rows(directory) if row.get("train/images_per_s")), None)
    if row is None:
        return ""
    try:
        trainer = read_config(directory / CONFIG)["trainer"]
        share = row["epoch"] / trainer["epochs"]
        left = row["step"] * (1 / share - 1) * trainer["batch_size"] / row["train/images_per_s"]
        remaining = timedelta(seconds=round(left))
    except (OSError, ValueError, KeyError, TypeError, ArithmeticError):  # damaged, or of another version
        return ""
    return f"{share:.0%}".replace("%", " %") + (f", {remaining} left" if running else "")


def _metric(directory: Path) -> str:
    record = RunRecord.read(directory)
    metrics = {} if record is None else record.metrics
    for name in ("mAP", "gt_mAP"):
        if name in metrics:
            return f"{name} {metrics[name]:.3f}"
    for row in _rows(directory):
        for name in ("val/mAP", "train/total"):
            if isinstance(row.get(name), int | float):
                return f"{name} {row[name]:.4g}"
    return ""


def _error(directory: Path | None, output: Path | None = None, since: float = 0.0) -> list[str]:
    """The last lines of what went wrong: of this attempt's traceback, else of the job's own output."""
    failed = None if directory is None else directory / "FAILED"
    if failed is not None and failed.exists() and failed.stat().st_mtime > since:
        text = failed.read_text(errors="replace")
        with suppress(ValueError, KeyError, TypeError):
            text = json.loads(text)["traceback"]
    elif output is not None and output.exists():
        text = output.read_text(errors="replace")
    else:
        return []
    return [line.rstrip() for line in re.split(r"\n+", text.strip())[-LINES:]]
