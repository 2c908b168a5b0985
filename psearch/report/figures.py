"""The numbers behind the interactive plots, as JSON-ready parts; rows and runs are named by their place."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from psearch.report.comparison import Comparison
from psearch.report.curves import order, thin
from psearch.report.estimate import Estimate
from psearch.report.measures import COSTS, METRICS
from psearch.report.palette import styles
from psearch.report.row import Row
from psearch.report.runs import Run

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
