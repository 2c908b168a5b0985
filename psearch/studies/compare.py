"""A study compared: its references measured, its table, plots and page written, at any time."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from psearch.build import build
from psearch.evaluation.result import RANKING, read_ranking
from psearch.report.comparison import Comparison, compare
from psearch.report.page import write_comparison
from psearch.report.searches import RankedSearch
from psearch.report.tables import terminal_table
from psearch.studies.ingredients import run_code
from psearch.studies.measurement import device_named, split_named
from psearch.studies.pictures import ranked_searches
from psearch.studies.publish import track
from psearch.studies.references import UNAVAILABLE, Student, brief, make_references, measure_costs, students
from psearch.types import Benchmark, Split

log = logging.getLogger(__name__)


def compare_studies(studies: Sequence[Path], directory: Path | None = None, *, device: str = "auto") -> str:
    """Compare all runs of the studies and write the report; returns the table and where the report lies.

    directory: of the report; by default the (first) study's own. Works with what is there: failed and missing
    runs are listed, and what cannot be made here (for want of data, of a teacher, of a folder to write to) is
    said in a line each. The comparison of one study goes to its tracker too. ValueError if a study does not
    exist or its runs were measured by unlike protocols.
    """
    for study in studies:
        if not study.is_dir():
            known = ", ".join(sorted(p.name for p in study.parent.glob("*") if _is_study(p))) or "none"
            raise ValueError(f"there is no study {study.name} in {study.parent}: there are {known}")
    members = {study: students(study) for study in studies}
    everyone = [member for own in members.values() for member in own]
    pictures: dict[str, Any] = {}
    notes: list[str] = []
    if everyone:
        compare([member.directory for member in everyone])  # unlike ones are refused before any work
        where = device_named(device)
        benchmark, reason = _benchmark(everyone)
        for study, own in members.items():
            notes += make_references(study, benchmark, own, device=where)
            notes += measure_costs(own, benchmark, device=where)
        if benchmark is not None:
            pictures, reason = _pictures(everyone, benchmark)
        notes += [f"no pictures: {reason}"] if reason else []
        notes += _other_code(everyone)
    comparison = compare(studies)
    comparison = replace(comparison, notes=(*comparison.notes, *dict.fromkeys(notes)))
    title = " and ".join(study.resolve().name for study in studies)
    said = [_report(comparison, directory, studies[0], title, pictures)]
    if len(studies) == 1:
        said += _publish(comparison, studies[0], members[studies[0]])
    return "\n".join([terminal_table(comparison), "", *said])


def _is_study(directory: Path) -> bool:
    return (
        any((run / "config.yaml").exists() for run in directory.glob("*/")) and directory.name != "teachers"
    )


def _other_code(members: Sequence[Student]) -> list[str]:
    """A line on the runs that were made by other code than would make them now."""
    others = [m.directory.name for m in members if m.record.closure not in ("", run_code(m.config))]
    if not others:
        return []
    which = "" if len(others) == len(members) else f": {', '.join(others)}"
    return [
        f"{len(others)} of {len(members)} runs were made with other code than this (kept; rerun=stale makes "
        f"them again){which}"
    ]


def _benchmark(members: Sequence[Student]) -> tuple[Benchmark | None, str]:
    """The data that the members were measured on, as one of their configs names it; or None and why not."""
    reasons = []
    nodes = {json.dumps(m.config.data, sort_keys=True, default=str): m for m in reversed(members)}
    for member in reversed(nodes.values()):
        measured = member.record.protocol.get("fingerprint")
        try:
            benchmark: Benchmark = build(member.config.data)
        except UNAVAILABLE as error:
            reasons.append(f"the data is not here ({brief(error)})")
            continue
        if benchmark.fingerprint == measured:
            return benchmark, ""
        reasons.append(f"the data here is other data ({benchmark.fingerprint}, measured on {measured})")
    return None, reasons[0]


def _pictures(members: Sequence[Student], benchmark: Benchmark) -> tuple[dict[str, Any], str]:
    """What the report draws pictures from; or nothing and why not."""
    try:
        split = split_named(benchmark, str(members[0].record.protocol.get("split")))
        split.read(0)
    except UNAVAILABLE as error:
        return {}, f"the scenes are not here ({brief(error)})"
    searches = {member.directory.name: _searches(member, split) for member in members}
    return {"searches": searches, "read": split.read, "scenes": split.scenes}, ""


def _searches(member: Student, split: Split) -> list[RankedSearch]:
    """The answers a run gave; none if their file is gone or damaged."""
    try:
        ranking = read_ranking(
            member.directory / RANKING, scenes=len(split.scenes), queries=len(split.queries)
        )
        if not (np.isfinite(ranking.similarities).all() and np.isfinite(ranking.boxes).all()):
            raise ValueError("it holds numbers that are not finite")
    except (ValueError, TypeError, IndexError) as error:
        log.warning("no example searches of %s: %s", member.directory.name, error)
        return []
    return ranked_searches(ranking, split)


def _report(
    comparison: Comparison, chosen: Path | None, study: Path, title: str, pictures: Mapping[str, Any]
) -> str:
    """Write the report; a line that says where it lies, or why it was not written beside the study."""
    try:
        return f"Report: {write_comparison(comparison, chosen or study, title=title, **pictures).page}"
    except OSError as error:
        if chosen is not None:
            raise
        reason = error.strerror or str(error)
        return f"No report: {study} cannot be written to ({reason}): say where with --to FOLDER"


def _publish(comparison: Comparison, study: Path, members: Sequence[Student]) -> list[str]:
    """Log the comparison to the study's tracker; a line if that cannot be."""
    try:
        if not os.access(study, os.W_OK):
            raise OSError(f"{study} is read-only")
        track(comparison, study, members)
    except UNAVAILABLE as error:
        return [f"Not logged to the study's tracker: {brief(error)}"]
    return []
