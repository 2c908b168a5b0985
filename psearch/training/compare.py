"""A study compared: its references measured, its table, plots and page written, at any time."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from psearch.evaluation.evaluator import Evaluator
from psearch.evaluation.files import read_detections
from psearch.evaluation.result import SearchResult
from psearch.report.comparison import compare
from psearch.report.searches import RankedSearch, Result
from psearch.report.tables import terminal_table
from psearch.report.write import write_comparison
from psearch.training.build import build
from psearch.training.costs import measure_costs
from psearch.training.measure import device_named
from psearch.training.references import DETECTIONS, Student, make_references, students
from psearch.training.yardstick import split_named
from psearch.types import Benchmark, Detections, Split

log = logging.getLogger(__name__)


def compare_studies(studies: Sequence[Path], directory: Path | None = None, *, device: str = "auto") -> str:
    """Compare all runs of the studies and write the report; returns the table and where the report lies.

    directory: of the report; by default the (first) study's own. Works with what is there: failed and missing
    runs are listed. ValueError if a study does not exist or its runs were measured by unlike protocols.
    """
    for study in studies:
        if not study.is_dir():
            known = ", ".join(sorted(p.name for p in study.parent.glob("*") if _is_study(p))) or "none"
            raise ValueError(f"there is no study {study.name} in {study.parent}: there are {known}")
    members = {study: students(study) for study in studies}
    everyone = [member for own in members.values() for member in own]
    pictures: dict[str, Any] = {}
    if everyone:
        benchmark: Benchmark = build(everyone[0].config["data"])
        for study, own in members.items():
            make_references(study, benchmark, own, device=device_named(device))
            measure_costs(own, benchmark, device=device_named(device))
        split = split_named(benchmark, everyone[0].config["evaluation"]["split"])
        searches = {member.directory.name: _searches(member, split) for member in everyone}
        pictures = {"searches": searches, "read": split.read, "scenes": split.scenes}
    comparison = compare(studies)
    home = directory or studies[0]
    paths = write_comparison(comparison, home, title=" and ".join(s.name for s in studies), **pictures)
    return f"{terminal_table(comparison)}\n\nReport: {paths.page}"


def _is_study(directory: Path) -> bool:
    return (
        any((run / "config.yaml").exists() for run in directory.glob("*/")) and directory.name != "teachers"
    )


def _searches(member: Student, split: Split) -> list[RankedSearch]:
    """The ranked galleries of a run, from what it found; none if that file is gone."""
    try:
        found, queries = read_detections(
            member.directory / DETECTIONS, split.scenes, queries=len(split.queries)
        )
    except ValueError as error:
        log.warning("no example searches of %s: %s", member.directory.name, error)
        return []
    evaluator: Evaluator = build(member.config["evaluation"]["evaluator"])
    return ranked_searches(evaluator.measure(split, found, queries).result, split, found)


def ranked_searches(result: SearchResult, split: Split, found: Sequence[Detections]) -> list[RankedSearch]:
    """Search results as the report draws them."""
    ranking = result.ranking
    return [
        RankedSearch(
            query=index,
            scene=query.scene,
            box=_box(query.box),
            ranked=tuple(
                Result(int(scene), _box(found[scene].boxes[row]), float(similarity), bool(correct))
                for scene, row, similarity, correct in zip(
                    ranking.scenes[index],
                    ranking.detections[index],
                    ranking.similarities[index],
                    ranking.correct[index],
                    strict=True,
                )
                if scene >= 0
            ),
        )
        for index, query in enumerate(split.queries)
    ]


def _box(values: Any) -> tuple[float, float, float, float]:
    x1, y1, x2, y2 = (float(value) for value in values)
    return x1, y1, x2, y2


def read_config(directory: Path) -> dict[str, Any]:
    """The resolved config of a run directory. Raises ValueError if there is none."""
    try:
        config = yaml.safe_load((directory / "config.yaml").read_text())
    except (OSError, yaml.YAMLError) as error:
        raise ValueError(
            f"{directory} is no run directory: its config.yaml cannot be read ({error})"
        ) from error
    assert isinstance(config, dict)
    return config
