"""Learning curves: metrics.jsonl as (x, y) per metric, thinned to what a screen can show."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

import numpy as np

POSITIONS = ("step", "epoch")
LARGEST = 1e30
"""A number beyond it (or nan) is damage, not a metric."""

WHOLE = {"summary", "table", "images"}
Curve = tuple[list[float], list[float]]


def read_curves(path: Path) -> dict[str, dict[float, float]]:
    """metric -> {position: value} of one metrics.jsonl; the position is the step, else the epoch, else
    the line. A step written twice (a resumed run) counts once, the later one; unreadable lines, and what
    holds for the run as a whole (summary, tables, images), are skipped.
    """
    curves: dict[str, dict[float, float]] = defaultdict(dict)
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return {}
    for number, line in enumerate(lines):
        record = _numbers(line)
        position = next((record[name] for name in POSITIONS if name in record), float(number))
        for name, value in record.items():
            if name not in POSITIONS:
                curves[name][position] = value
    return dict(curves)


def _numbers(line: str) -> dict[str, float]:
    """The finite numbers of one line; nested parts are named with a slash."""
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    if not isinstance(record, dict) or WHOLE & record.keys():
        return {}
    found: dict[str, float] = {}
    waiting = list(record.items())
    for name, value in waiting:
        if isinstance(value, dict):
            waiting.extend((f"{name}/{key}", part) for key, part in value.items())
        elif isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < LARGEST:
            found[str(name)] = float(value)
    return found


def order(name: str) -> tuple[bool, bool, str]:
    """Sorts metrics: mAP first, then the total loss, then the rest by name."""
    last = name.rpartition("/")[2]
    return last != "mAP", last not in ("total", "loss"), name


def thin(curve: Mapping[float, float], points: int) -> Curve:
    """At most `points` points, each the mean of a run of neighbours, to four digits."""
    x = np.array(sorted(curve))
    y = np.array([curve[position] for position in x])
    parts = min(points, len(x))
    return (
        [float(f"{part.mean():.6g}") for part in np.array_split(x, parts)],
        [float(f"{part.mean():.4g}") for part in np.array_split(y, parts)],
    )
