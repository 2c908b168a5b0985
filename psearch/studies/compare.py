"""A study compared: its references measured, its table, plots and page written, at any time."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from psearch.build import build
from psearch.evaluation.result import RANKING, read_ranking
from psearch.report.comparison import compare
from psearch.report.page import write_comparison
from psearch.report.searches import RankedSearch
from psearch.report.tables import terminal_table
from psearch.studies.measurement import device_named, split_named
from psearch.studies.pictures import ranked_searches
from psearch.studies.publish import track
from psearch.studies.references import Student, make_references, measure_costs, students
from psearch.types import Benchmark, Split

log = logging.getLogger(__name__)


def compare_studies(studies: Sequence[Path], directory: Path | None = None, *, device: str = "auto") -> str:
    """Compare all runs of the studies and write the report; returns the table and where the report lies.

    directory: of the report; by default the (first) study's own. Works with what is there: failed and missing
    runs are listed. The comparison of one study goes to its tracker too. ValueError if a study does not exist
    or its runs were measured by unlike protocols.
    """
    for study in studies:
        if not study.is_dir():
            known = ", ".join(sorted(p.name for p in study.parent.glob("*") if _is_study(p))) or "none"
            raise ValueError(f"there is no study {study.name} in {study.parent}: there are {known}")
    members = {study: students(study) for study in studies}
    everyone = [member for own in members.values() for member in own]
    pictures: dict[str, Any] = {}
    if everyone:
        compare([member.directory for member in everyone])  # unlike ones are refused before any work
        benchmark: Benchmark = build(everyone[0].config.data)
        for study, own in members.items():
            make_references(study, benchmark, own, device=device_named(device))
            measure_costs(own, benchmark, device=device_named(device))
        split = split_named(benchmark, everyone[0].config.evaluation.split)
        searches = {member.directory.name: _searches(member, split) for member in everyone}
        pictures = {"searches": searches, "read": split.read, "scenes": split.scenes}
    comparison = compare(studies)
    home = directory or studies[0]
    paths = write_comparison(comparison, home, title=" and ".join(s.name for s in studies), **pictures)
    if len(studies) == 1:
        track(comparison, studies[0], members[studies[0]])
    return f"{terminal_table(comparison)}\n\nReport: {paths.page}"


def _is_study(directory: Path) -> bool:
    return (
        any((run / "config.yaml").exists() for run in directory.glob("*/")) and directory.name != "teachers"
    )


def _searches(member: Student, split: Split) -> list[RankedSearch]:
    """The answers a run gave; none if their file is gone."""
    try:
        ranking = read_ranking(
            member.directory / RANKING, scenes=len(split.scenes), queries=len(split.queries)
        )
    except ValueError as error:
        log.warning("no example searches of %s: %s", member.directory.name, error)
        return []
    return ranked_searches(ranking, split)
