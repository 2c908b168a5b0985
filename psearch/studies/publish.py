"""Log the comparison's results to the study's tracker."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from psearch.build import build
from psearch.records import COSTS, RESULTS
from psearch.report.comparison import Comparison
from psearch.report.gap import Gain
from psearch.report.row import Row
from psearch.report.runs import METRICS, Run
from psearch.runs.labels import summary_of, tracker_of
from psearch.studies.references import Student
from psearch.tracking.jsonl import read_summary
from psearch.tracking.tracker import Tracker

FOLDER = ".comparison"
COLUMNS = ("variant", "role", *METRICS, "mAP_interval", "gain", "gap_closed", *COSTS, "seeds")


def track(comparison: Comparison, study: Path, members: Sequence[Student]) -> None:
    """Log the cost measured for the comparison, and of a distilled student its gain and the gap it closed, to
    each student's run; the references and the comparison as a table to runs of their own, with the logger of
    the study's last student. What was logged before is not logged again."""
    if not members:
        return
    own = {member.directory.name: member for member in members}
    for row in comparison.students:
        for run in row.runs:
            if run.name in own:  # one that has finished meanwhile is for the next comparison
                _log_student(own[run.name], _cost(run) | _gain(comparison.gains.get(row), run.seed))
    last = max(members, key=lambda member: (member.directory / RESULTS).stat().st_mtime)
    logger = build(last.config.logger)
    for row in comparison.rows:
        if row.role != "student":
            _log_reference(row, study, logger)
    _log_comparison(comparison, study, logger)


def _cost(run: Run) -> dict[str, float | str]:
    return {key: value for key, value in summary_of(run.record.to_json()).items() if key.startswith("cost/")}


def _gain(gain: Gain | None, seed: int) -> dict[str, float | str]:
    """What a distilled run of that seed gained, as far as it is defined."""
    if gain is None or seed not in gain.seeds:
        return {}
    parts = {"gain": gain.gain, "gap_closed": gain.closed}
    return {name: part.values[gain.seeds.index(seed)] for name, part in parts.items() if part}


def _log_student(student: Student, values: Mapping[str, float | str]) -> None:
    if _is_logged(student.directory, values):
        return
    with tracker_of(
        build(student.config.logger),
        student.directory,
        config=student.config.plain,
        variant=student.record.to_json()["variant"],
        study=student.config.study,
        job_type="student",
    ) as tracker:
        tracker.summary(values)


def _log_reference(row: Row, study: Path, logger: Callable[..., Tracker]) -> None:
    for run in row.runs:
        values = summary_of(run.record.to_json())
        if run.directory.parent != study or _is_logged(run.directory, values):
            continue
        variant = {**run.record.to_json()["variant"], "distill": row.mode}
        named = {"name": row.label, "study": study.name, "job_type": "evaluation"}
        with tracker_of(logger, run.directory, config={}, variant=variant, **named) as tracker:
            tracker.summary(values)


def _log_comparison(comparison: Comparison, study: Path, logger: Callable[..., Tracker]) -> None:
    rows = [_record(row, comparison) for row in comparison.rows]
    queries = _per_query(comparison)
    text = json.dumps([rows, queries], default=str)
    digest = hashlib.sha256(text.encode()).hexdigest()[:12]
    values: dict[str, float | str] = {"runs": len(comparison.runs), "digest": digest}
    if _is_logged(study / FOLDER, values):
        return
    named = {"study": study.name, "name": f"comparison of {study.name}", "job_type": "comparison"}
    with logger(directory=study / FOLDER, config={}, tags=["comparison"], **named) as tracker:
        tracker.table("comparison", COLUMNS, rows, bar=("variant", "mAP"), scatter=("parameters", "mAP"))
        if queries:
            columns = ["query", *(row.label for row in comparison.rows if row.per_query)]
            tracker.table("per_query", columns, queries)
        tracker.summary(values)


def _is_logged(directory: Path, values: Mapping[str, Any]) -> bool:
    known = read_summary(directory)
    return all(key in known and known[key] == value for key, value in values.items())


def _record(row: Row, comparison: Comparison) -> list[object]:
    gain = comparison.gains.get(row)
    measured = {**row.metrics, **row.costs, "gain": gain and gain.gain, "gap_closed": gain and gain.closed}
    numbers = {name: value.mean if value else None for name, value in measured.items()}
    interval = row.metrics["mAP"].interval if "mAP" in row.metrics else None
    words = {"variant": row.label, "role": row.role, "seeds": " ".join(map(str, row.seeds))}
    known = {**numbers, **words, "mAP_interval": interval}
    return [known.get(column) for column in COLUMNS]


def _per_query(comparison: Comparison) -> list[list[object]]:
    """A line per search: its number and the AP of each variant, averaged over seeds."""
    columns = [row.per_query for row in comparison.rows if row.per_query]
    return [[query, *values] for query, values in enumerate(zip(*columns, strict=False))]
