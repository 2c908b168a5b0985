"""`ranking.npz`: what the queries of a protocol were answered with, the arrays of `Ranking`."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

from psearch.evaluation.arrays import load, save
from psearch.evaluation.result import Ranking

RANKING = "ranking.npz"
"""What the file is called in a run directory."""

NAMES = tuple(field.name for field in fields(Ranking))


def write_ranking(path: Path, ranking: Ranking) -> None:
    """Save the first answers of all queries."""
    save(path, {name: getattr(ranking, name) for name in NAMES})


def read_ranking(path: Path, *, scenes: int, queries: int) -> Ranking:
    """The first answers of all queries; ValueError for a file that is missing, damaged or of other data."""
    arrays = load(path, NAMES)
    shape = (queries, arrays["scenes"].shape[-1])
    whole = all(values.shape[:2] == shape for values in arrays.values())
    if not whole or arrays["boxes"].shape != (*shape, 4) or arrays["scenes"].max(initial=-1) >= scenes:
        raise ValueError(f"{path}: not of {queries} queries and {scenes} scenes")
    return Ranking(**arrays)
