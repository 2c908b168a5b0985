"""Run directories as plain records: what finished, and what did not and why."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from psearch.identity import AXES, flattened, read_config, settings

ROLES = ("student", "teacher", "two_step")
MARKS = ("results.json", "FAILED", "config.yaml", "metrics.jsonl")


@dataclass(frozen=True, eq=False)
class Run:
    """One finished run: the content of its results.json and its resolved config, flattened.

    settings: what decides the result besides the four axes and the seed, as dotted key -> text.
    """

    directory: Path
    results: Mapping[str, Any]
    config: Mapping[str, str]
    settings: Mapping[str, str]

    @property
    def name(self) -> str:
        return self.directory.name

    @property
    def role(self) -> str:
        return str(self.results["role"])

    @property
    def seed(self) -> int:
        return int(self.results["variant"]["seed"])

    @property
    def axes(self) -> tuple[str, str, str, str]:
        """(student, compression, teacher, distill); a teacher nobody learns from is "none"."""
        student, compression, teacher, distill = (str(self.results["variant"][axis]) for axis in AXES)
        unused = self.role == "student" and distill == "none"
        return student, compression, "none" if unused else teacher, distill

    @property
    def metrics(self) -> Mapping[str, float]:
        return {key: value for key, value in self.results["metrics"].items() if value is not None}

    @property
    def teacher_directories(self) -> tuple[str, ...]:
        """Directories of the teachers it learned from, as recorded."""
        known = self.results.get("teachers") or ()
        return tuple(str(teacher["directory"]) for teacher in known if teacher.get("directory"))


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
    """The teachers' directories, also after the whole of outputs/ was moved or copied."""
    found = []
    for recorded in map(Path, run.teacher_directories):
        beside = run.directory.parent.parent / recorded.parent.name / recorded.name
        found += [path for path in (beside, recorded) if path.is_dir()][:1]
    return found


def _read_run(directory: Path) -> Run | Failure:
    try:
        results = json.loads((directory / "results.json").read_text(encoding="utf-8"))
        _check(results)
        results["cost"] = _cost(directory) or results.get("cost")
    except FileNotFoundError:
        return _failure(
            directory, "no results.json: still running, or stopped; run its command again to resume"
        )
    except (ValueError, KeyError, TypeError, OSError) as error:
        return _failure(directory, f"results.json is not usable ({type(error).__name__}: {error})")
    config = read_config(directory / "config.yaml")
    own = settings(config, results["variant"].get("overrides", ()))
    return Run(directory, results, flattened(config), own)


def _cost(directory: Path) -> Any:
    """The cost measured for the comparison, after all runs, if there is one."""
    try:
        return json.loads((directory / "cost.json").read_text(encoding="utf-8"))["cost"]
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _failure(directory: Path, reason: str) -> Failure:
    """What FAILED says, where there is one; else the reason found here."""
    details, marker, log = "", directory / "FAILED", directory / "log.txt"
    if marker.exists():
        reason = marker.read_text(encoding="utf-8", errors="replace").strip() or "FAILED (empty)"
        try:
            record = json.loads(reason)
            reason, details = str(record["error"]), str(record.get("traceback", ""))
        except (ValueError, KeyError, TypeError):
            pass  # a marker cut off in writing: its raw text is the reason
    return Failure(directory.name, directory, reason, details, log if log.exists() else directory)


def _check(results: Any) -> None:
    """Raises if a record lacks what a comparison needs."""
    if results["status"] != "ok":
        raise ValueError(f"status is {results['status']!r}")
    if results["role"] not in ROLES:
        raise ValueError(f"role is {results['role']!r}, expected one of {', '.join(ROLES)}")
    for axis in AXES:
        results["variant"][axis]
    int(results["variant"]["seed"])
    dict(results["protocol"])
    for part in ("per_query", "cost", "training", "code", "machine"):
        dict(results.get(part) or {})
    for teacher in results.get("teachers") or ():
        dict(teacher)
    for part in ("metrics", "cost"):
        for name in (METRICS | COSTS).keys() & (results.get(part) or {}).keys():
            _check_number(f"{part}.{name}", results[part][name])
    for value in (results.get("per_query") or {}).get("AP") or ():
        _check_number("per_query.AP", value)


def _check_number(name: str, value: Any) -> None:
    if value is not None and not (isinstance(value, int | float) and math.isfinite(value)):
        raise ValueError(f"{name} is {value!r}")


METRICS = {
    "mAP": "mAP",
    "top1": "top-1",
    "detection_AP": "det. AP",
    "detection_recall": "recall",
    "gt_mAP": "true-box mAP",
}
"""Accuracies of the comparison (fractions in the data), with their column titles."""

COSTS = {
    "parameters": "parameters",
    "macs": "MACs",
    "latency_ms": "latency, ms",
    "file_bytes": "file",
}
