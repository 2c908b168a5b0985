"""One query's ranked gallery and the numbers that follow from it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from psearch.evaluation.overlap import Flags, Integers
from psearch.evaluation.precision import average_precision


@dataclass(frozen=True, eq=False)
class Ranked:
    """AP in 0…1; rank of the first right answer, from 1, or 0 if there is none; best: rows of the pool, most
    similar first, with their similarities and whether each is right; found: right answers, of total."""

    AP: float
    rank: int
    best: Integers
    similarities: np.ndarray
    correct: Flags
    found: int
    total: int


def rank_gallery(
    similarities: np.ndarray,
    candidates: Integers,
    hits: Integers,
    hit_scenes: Integers,
    total: int,
    *,
    keep: int,
) -> Ranked:
    """Rank the candidates (rows of the pool) of one query by similarities (N,), one for each row of the pool.

    hits, hit_scenes: the candidates that show the person, ordered by scene. In each scene only the most
    similar one is right, as the evaluators have it: not the one with the best overlap. total: right answers
    to find. A wrong answer as similar as a right one is ranked before it, so a network that describes
    everybody alike finds nobody.
    """
    right = np.zeros(len(similarities), dtype=bool)
    right[_best_per_scene(similarities[hits], hits, hit_scenes)] = True
    values = similarities[candidates]
    ascending = np.sort(values)
    right_values = np.sort(similarities[right])
    best = _best(values, ascending, candidates, right, keep)
    return Ranked(
        AP=average_precision(right_values, ascending, total),
        rank=_first_rank(right_values, ascending),
        best=best,
        similarities=similarities[best],
        correct=right[best],
        found=len(right_values),
        total=total,
    )


def _best_per_scene(values: np.ndarray, hits: Integers, scenes: Integers) -> Integers:
    """The most similar hit of each scene, the first of equals."""
    order = np.lexsort((hits, -values, scenes))
    first = np.ones(len(hits), dtype=bool)
    first[1:] = scenes[order][1:] != scenes[order][:-1]
    return hits[order[first]]


def _first_rank(right: np.ndarray, ascending: np.ndarray) -> int:
    if not len(right):
        return 0
    as_similar = len(ascending) - np.searchsorted(ascending, right[-1], side="left")
    tied = len(right) - np.searchsorted(right, right[-1], side="left")
    return int(as_similar - tied + 1)


def _best(
    values: np.ndarray, ascending: np.ndarray, candidates: Integers, right: Flags, keep: int
) -> Integers:
    """The `keep` most similar candidates in the order that `rank` counts."""
    if not len(ascending) or not keep:
        return np.zeros(0, dtype=np.int64)
    near = np.flatnonzero(values >= ascending[-min(keep, len(ascending))])
    rows = candidates[near]
    return rows[np.lexsort((rows, right[rows], -values[near]))[:keep]]
