"""The numbers behind the interactive plots, as JSON-ready parts; rows and runs are named by their place."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from zlib import crc32

from psearch.records import COSTS
from psearch.report.comparison import Comparison
from psearch.report.curves import order, thin
from psearch.report.row import Estimate, Row
from psearch.report.runs import METRICS, Run

POINTS = 60_000
"""Points of all learning curves together: about a megabyte."""

Curves = Mapping[Run, Mapping[str, Mapping[float, float]]]


def figures(comparison: Comparison, curves: Curves) -> dict[str, Any]:
    """Rows, styles, learning curves and configs for the scripts of the page."""
    modes = styles(row.mode for row in comparison.rows)
    return {
        "metrics": METRICS,
        "costs": COSTS,
        "modes": {mode: {"colour": style.colour, "marker": style.marker} for mode, style in modes.items()},
        "rows": [_row(row) for row in comparison.rows],
        "runs": [
            {"name": run.name, "row": place, "seed": run.seed}
            for place, row in enumerate(comparison.rows)
            for run in row.runs
        ],
        "curves": _curves(comparison, curves),
        "configs": _configs(comparison),
    }


def _row(row: Row) -> dict[str, Any]:
    return {
        "label": row.label,
        "role": row.role,
        "mode": row.mode,
        "line": " ".join([row.role, row.axes[0], row.mode, row.axes[2], *row.differing]),
        "seeds": row.seeds,
        "metrics": {name: _estimate(value) for name, value in row.metrics.items()},
        "costs": {name: value.mean for name, value in row.costs.items()},
    }


def _estimate(value: Estimate) -> dict[str, Any]:
    return {"mean": value.mean, "interval": value.interval, "spread": value.spread, "values": value.values}


def _curves(comparison: Comparison, curves: Curves) -> dict[str, list[dict[str, Any]]]:
    count = sum(len(parts) for parts in curves.values()) or 1
    points = max(12, min(200, POINTS // count))
    drawn: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for place, run in enumerate(comparison.runs):
        for name, curve in curves.get(run, {}).items():
            x, y = thin(curve, points)
            drawn[name].append({"run": place, "x": x, "y": y})
    return dict(sorted(drawn.items(), key=lambda item: order(item[0])))


def _configs(comparison: Comparison) -> dict[str, Any]:
    """What all runs share once, and for each run only what is its own."""
    configs = [run.config for run in comparison.runs if run.config]
    shared = {k: v for k, v in configs[0].items() if all(c.get(k) == v for c in configs)} if configs else {}
    own = [{k: v for k, v in run.config.items() if k not in shared} for run in comparison.runs]
    return {"shared": shared, "own": own}


@dataclass(frozen=True)
class Style:
    """marker: matplotlib's code. colour: at least 2.7 to 1 against white and near-black, and told apart with
    every kind of colour blindness (CIELAB distance 21 or more; found by search)."""

    colour: str
    marker: str


KNOWN = {
    "baseline": Style("#7a828c", "o"),
    "identities": Style("#f27c1e", "s"),
    "features": Style("#449ef2", "^"),
    "detector": Style("#7e46ef", "D"),
    "full": Style("#b82416", "P"),
    "objectness": Style("#bf8d68", "v"),
    "regions": Style("#98359c", "X"),
    "teacher": Style("#7a828c", "*"),
    "two-step": Style("#7a828c", "d"),
}
SPARE = [KNOWN[mode] for mode in ("full", "objectness", "regions", "features", "detector", "identities")]


def styles(modes: Iterable[str]) -> dict[str, Style]:
    """Mode -> style; an unknown mode takes a colour by its name, the next free one if it can."""
    wanted = sorted(set(modes))
    taken = {mode: KNOWN[mode] for mode in wanted if mode in KNOWN}
    for mode in wanted:
        if mode not in taken:
            start = crc32(mode.encode()) % len(SPARE)
            turn = SPARE[start:] + SPARE[:start]
            taken[mode] = next((style for style in turn if style not in taken.values()), turn[0])
    return taken
