"""Run directories as the comparison sees them: what finished, and what did not and why."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from psearch.identity import flattened, settings
from psearch.records import (
    CONFIG,
    RESULTS,
    MeasuredCost,
    RunRecord,
    Variant,
    locate,
    read_config,
)

MARKS = (RESULTS, "FAILED", CONFIG, "metrics.jsonl")

MEASURED = ("dataset", "fingerprint", "split", "gallery_size", "mode")
"""What the protocol of a measurement says; without it nothing can be compared."""

METRICS = {
    "mAP": "mAP",
    "top1": "top-1",
    "detection_AP": "det. AP",
    "detection_recall": "recall",
    "gt_mAP": "mAP (GT boxes)",
}
"""Accuracies of the comparison (fractions in the data), with their column titles."""


@dataclass(frozen=True, eq=False)
class Run:
    """One finished run that was measured: its record and its resolved config, flattened.

    settings: what decides the result besides the four axes and the seed, as dotted key -> text.
    """

    directory: Path
    record: RunRecord
    config: Mapping[str, str]
    settings: Mapping[str, str]

    @property
    def name(self) -> str:
        return self.directory.name

    @property
    def role(self) -> str:
        assert self.record.role is not None
        return self.record.role

    @property
    def variant(self) -> Variant:
        assert self.record.variant is not None
        return self.record.variant

    @property
    def seed(self) -> int:
        return self.variant.seed

    @property
    def axes(self) -> tuple[str, str, str, str]:
        """(student, compression, teacher, distill); a teacher nobody learns from is "none"."""
        student, compression, teacher, distill = self.variant.axes
        unused = self.role == "student" and distill == "none"
        return student, compression, "none" if unused else teacher, distill

    @property
    def metrics(self) -> Mapping[str, float]:
        return self.record.metrics

    @property
    def teacher_directories(self) -> tuple[str, ...]:
        """Directories of the teachers it learned from, as recorded."""
        return tuple(teacher.directory for teacher in self.record.teachers if teacher.directory)


@dataclass(frozen=True)
class Failure:
    """A run directory without a usable result: why, and where to read on."""

    name: str
    directory: Path
    error: str
    details: str
    log: Path


def read_runs(directories: Iterable[Path | str]) -> tuple[list[Run], list[Failure]]:
    """Reads studies (directories of run directories) or single run directories, and the runs of the teachers
    they name unless the study holds a run of that name. Raises ValueError if a directory is not there."""
    runs: dict[Path, Run] = {}
    failures: dict[Path, Failure] = {}
    waiting = [run for directory in directories for run in _run_directories(Path(directory))]
    while waiting:
        directory = waiting.pop(0)
        if directory.resolve() in runs or directory.resolve() in failures:
            continue
        record = _read_run(directory)
        if isinstance(record, Failure):
            failures[directory.resolve()] = record
            continue
        runs[directory.resolve()] = record
        for teacher in _find_teachers(record):
            if teacher.name not in {known.name for known in (*runs, *waiting)}:
                waiting.append(teacher)
    return list(runs.values()), list(failures.values())


def _run_directories(directory: Path) -> list[Path]:
    if not directory.is_dir():
        raise ValueError(f"{directory} is no directory: name a study (outputs/<study>) or a run directory")
    if any((directory / mark).exists() for mark in MARKS):
        return [directory]
    folders = [folder for folder in directory.iterdir() if not folder.name.startswith(".")]
    return sorted(run for run in folders if any((run / mark).exists() for mark in MARKS))


def _find_teachers(run: Run) -> list[Path]:
    """The directories of its teachers that are here and were measured."""
    places = [locate(run.directory, recorded) for recorded in run.teacher_directories]
    records = ((place, RunRecord.read(place)) for place in places if place is not None)
    return [place for place, record in records if record is not None and record.role is not None]


def _read_run(directory: Path) -> Run | Failure:
    try:
        record = RunRecord.load(directory)
        lacking = [key for key in MEASURED if record.protocol.get(key) is None]
        if record.role is None or record.variant is None or lacking:
            what = "role or variant" if not lacking else f"protocol ({', '.join(lacking)})"
            return _failure(directory, f"{RESULTS} does not say what was measured: it has no {what}")
        cost = MeasuredCost.read(directory)
        config = _config(directory)
        chosen = settings(config, record.variant.overrides)
    except FileNotFoundError:
        return _failure(
            directory, f"no {RESULTS}: still running, or stopped; run its command again to resume"
        )
    except ValueError as error:
        return _failure(directory, str(error))
    return Run(
        directory, record if cost is None else replace(record, cost=cost.cost), flattened(config), chosen
    )


def _config(directory: Path) -> dict[str, object]:
    """The resolved config of a run; empty for one that left none behind."""
    try:
        return read_config(directory / CONFIG)
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise ValueError(f"{directory / CONFIG} is not usable ({error})") from error


def _failure(directory: Path, reason: str) -> Failure:
    """What FAILED says, where there is one; else the reason found here."""
    details, marker, log = "", directory / "FAILED", directory / "log.txt"
    if marker.exists():
        reason = marker.read_text(encoding="utf-8", errors="replace").strip() or "FAILED (empty)"
        try:
            record = json.loads(reason)
            reason, details = str(record["error"]), str(record.get("traceback", ""))
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            pass  # a marker cut off in writing: its raw text is the reason
    return Failure(directory.name, directory, reason, details, log if log.exists() else directory)
