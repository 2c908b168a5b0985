"""Which detections show a wanted person: decided by overlap alone, before any similarity is known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from psearch.evaluation.overlap import Floats, Integers, iou
from psearch.evaluation.pool import Pool
from psearch.evaluation.stacked import Stacked, pairs, stack
from psearch.types import Scene


@dataclass(frozen=True, eq=False)
class Sightings:
    """Where one identity is, and what was found there.

    scenes: (s,) distinct scenes that hold the person. hits: (m,) rows of the pool that cover one of its
    boxes, ordered by scene; hit_scenes: (m,) their scenes.
    """

    scenes: Integers
    hits: Integers
    hit_scenes: Integers


def smallest_overlap(boxes: np.ndarray) -> Floats:
    """IoU (n,) a detection needs to show the person in a box (n, 4): min(0.5, wh / ((w + 10)(h + 10))).

    Small boxes ask for less, since a few pixels decide their overlap (Xiao et al. 2017, public evaluator).
    """
    width, height = (boxes[:, 2:].astype(np.float64) - boxes[:, :2]).T
    smallest: Floats = np.minimum(0.5, width * height / ((width + 10) * (height + 10)))
    return smallest


def find_sightings(
    scenes: Sequence[Scene], pool: Pool, identities: set[int], *, first_box_only: bool
) -> dict[int, Sightings]:
    """Sightings of every wanted identity, all overlaps in one go."""
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


def _covering(people: Stacked, found: Stacked, rows: Integers) -> tuple[Integers, Integers]:
    """Pairs (index into rows of people, row of found) of a person's box and a detection that covers it."""
    person, detection = pairs(people, found, rows)
    wanted = people.boxes[rows[person]]
    values = iou(found.boxes[detection], wanted)
    enough = (values >= smallest_overlap(wanted)) & (values > 0)
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
