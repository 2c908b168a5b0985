"""One query's ranked gallery and the numbers that follow from it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from psearch.evaluation.boxes import Flags, Floats, Integers, RaggedBoxes, iou, same_scene_pairs, stack
from psearch.evaluation.pool import Pool
from psearch.types import Scene


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
    keep_top: int,
) -> Ranked:
    """Rank the candidates (rows of the pool) of one query by similarities (N,), one for each row of the pool.

    hits, hit_scenes: the candidates that show the person, ordered by scene. In each scene only the most
    similar one is right, as the evaluators have it: not the one with the highest IoU. total: right answers
    to find. A wrong answer as similar as a right one is ranked before it, so a network that describes
    everybody alike finds nobody.
    """
    right = np.zeros(len(similarities), dtype=bool)
    right[_best_per_scene(similarities[hits], hits, hit_scenes)] = True
    values = similarities[candidates]
    ascending = np.sort(values)
    right_values = np.sort(similarities[right])
    best = _best(values, ascending, candidates, right, keep_top)
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
    values: np.ndarray, ascending: np.ndarray, candidates: Integers, right: Flags, keep_top: int
) -> Integers:
    """The `keep_top` most similar candidates in the order that `rank` counts."""
    if not len(ascending) or not keep_top:
        return np.zeros(0, dtype=np.int64)
    near = np.flatnonzero(values >= ascending[-min(keep_top, len(ascending))])
    rows = candidates[near]
    return rows[np.lexsort((rows, right[rows], -values[near]))[:keep_top]]


def average_precision(right: np.ndarray, everything: np.ndarray, total: int) -> float:
    """Step-wise area under precision over recall, where recall counts what was never found too.

    right: scores of the right answers; everything: scores of all answers, the right ones included; both
    sorted, lowest first. total: how many right answers there are to find. Equal scores are one threshold.
    Equals `sklearn.metrics.average_precision_score` times recall, which is what the person-search
    evaluators print: each right answer contributes the precision at its own score, one never found none.
    """
    if not len(right):
        return 0.0
    right_above = len(right) - np.searchsorted(right, right, side="left")
    all_above = len(everything) - np.searchsorted(everything, right, side="left")
    return float((right_above / all_above).sum() / total)


@dataclass(frozen=True, eq=False)
class Sightings:
    """Where one identity is, and what was found there.

    scenes: (s,) distinct scenes that hold the person. hits: (m,) rows of the pool that cover one of its
    boxes, ordered by scene; hit_scenes: (m,) their scenes.
    """

    scenes: Integers
    hits: Integers
    hit_scenes: Integers


def smallest_iou(boxes: np.ndarray) -> Floats:
    """IoU (n,) a detection needs to show the person in a box (n, 4): min(0.5, wh / ((w + 10)(h + 10))).

    Small boxes need less, since a few pixels decide their IoU (Xiao et al. 2017, public evaluator).
    """
    width, height = (boxes[:, 2:].astype(np.float64) - boxes[:, :2]).T
    smallest: Floats = np.minimum(0.5, width * height / ((width + 10) * (height + 10)))
    return smallest


def find_sightings(
    scenes: Sequence[Scene], pool: Pool, identities: set[int], *, first_box_only: bool
) -> dict[int, Sightings]:
    """Sightings of every wanted identity, all IoUs in one go."""
    ids = np.concatenate([np.zeros(0, np.int64), *(scene.ids for scene in scenes)])
    people = stack([scene.boxes for scene in scenes])
    where = people.scene
    rows = np.flatnonzero(np.isin(ids, list(identities)))
    rows = rows[np.lexsort((rows, where[rows], ids[rows]))]
    if first_box_only:
        rows = rows[_differs(ids[rows], where[rows])]
    person, hits = _covering(people, pool.boxes, rows)
    sightings = {}
    for identity, (first, last) in _blocks(ids[rows]).items():
        low, high = np.searchsorted(person, [first, last])
        found = np.unique(hits[low:high])
        sightings[identity] = Sightings(np.unique(where[rows[first:last]]), found, pool.scene[found])
    return sightings


def _covering(people: RaggedBoxes, found: RaggedBoxes, rows: Integers) -> tuple[Integers, Integers]:
    """Pairs (index into rows of people, row of found) of a person's box and a detection that covers it."""
    person, detection = same_scene_pairs(people, found, rows)
    wanted = people.boxes[rows[person]]
    values = iou(found.boxes[detection], wanted)
    enough = (values >= smallest_iou(wanted)) & (values > 0)
    return person[enough], detection[enough]


def _differs(*keys: Integers) -> np.ndarray:
    """Marks the rows whose keys are not those of the row before."""
    first = np.ones(len(keys[0]), dtype=bool)
    first[1:] = np.any([key[1:] != key[:-1] for key in keys], axis=0)
    return first


def _blocks(sorted_ids: Integers) -> dict[int, tuple[int, int]]:
    """identity -> (first, last + 1) of its block in a sorted array."""
    starts = np.flatnonzero(_differs(sorted_ids))
    ends = np.append(starts, len(sorted_ids))[1:]
    return {int(sorted_ids[a]): (int(a), int(b)) for a, b in zip(starts, ends, strict=True)}
