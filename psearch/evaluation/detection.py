"""Average precision and recall of person detection, as the person-search evaluators define them.

A detection is right if its best-overlapping person and that person's best-overlapping detection are each
other, with IoU >= 0.5 (Xiao et al. 2017 and all that follow). The numbers depend on the score threshold, so
they are only comparable at the same one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from psearch.evaluation.overlap import Flags, Floats, Integers, area, intersection, iou, ranges
from psearch.evaluation.precision import average_precision
from psearch.types import UNLABELLED, Detections, Scene


@dataclass(frozen=True)
class DetectionResult:
    """AP and recall in 0…1; people: how many there were to find; found: how many were."""

    AP: float
    recall: float
    people: int
    found: int


def evaluate_detection(
    scenes: Sequence[Scene],
    detections: Sequence[Detections],
    *,
    score: float = 0.5,
    overlap: float = 0.5,
    labelled_only: bool = False,
) -> DetectionResult:
    """Detections with at least `score` against the people of the scenes.

    labelled_only: the people to find are those with an identity; finding another is then neither right nor
    wrong. `Scene.ignore` works the same way in both cases.
    """
    if len(scenes) != len(detections):
        raise ValueError(f"{len(detections)} detections for {len(scenes)} scenes: give one per scene")
    targets = [~scene.ignore & (scene.ids != UNLABELLED if labelled_only else True) for scene in scenes]
    kept = [found.scores >= score for found in detections]
    return match_detections(
        [scene.boxes[mask] for scene, mask in zip(scenes, targets, strict=True)],
        [scene.boxes[~mask] for scene, mask in zip(scenes, targets, strict=True)],
        [found.boxes[mask] for found, mask in zip(detections, kept, strict=True)],
        [found.scores[mask] for found, mask in zip(detections, kept, strict=True)],
        overlap=overlap,
    )


def match_detections(
    people: Sequence[np.ndarray],
    ignored: Sequence[np.ndarray],
    boxes: Sequence[np.ndarray],
    scores: Sequence[np.ndarray],
    *,
    overlap: float = 0.5,
) -> DetectionResult:
    """The metric on plain arrays, one of each per scene: people (g, 4), ignored (i, 4), boxes (n, 4) xyxy,
    scores (n,). A detection that is not right and has at least `overlap` of its own area inside one ignored
    box (COCO's rule for crowds) is left out of the count."""
    found, flat_scores = _stack(boxes), np.concatenate([np.zeros(0), *scores])
    per_scene = np.array([len(part) for part in boxes], dtype=np.int64)
    right = _mutual_best(found, per_scene, _stack(people), [len(part) for part in people], overlap)
    excused = _inside(found, per_scene, _stack(ignored), [len(part) for part in ignored], overlap) & ~right
    total, hits = sum(len(part) for part in people), int(right.sum())
    if not total:
        raise ValueError("no person to find in any scene: detection cannot be measured on this split")
    AP = average_precision(np.sort(flat_scores[right]), np.sort(flat_scores[~excused]), total)
    return DetectionResult(AP=AP, recall=hits / total, people=total, found=hits)


def _stack(boxes: Sequence[np.ndarray]) -> Floats:
    return np.concatenate([np.zeros((0, 4)), *boxes])


def _pairs(per_scene: Integers, others: Sequence[int]) -> tuple[Integers, Integers]:
    """Rows (detection, other box) of all pairs that share a scene, ordered by detection, then other box."""
    counts = np.asarray(others, dtype=np.int64)
    starts = np.cumsum(counts) - counts
    repeats = np.repeat(counts, per_scene)
    rows = np.repeat(np.arange(int(per_scene.sum())), repeats)
    return rows, ranges(np.repeat(starts, per_scene), repeats)


def _first_best(values: Floats, groups: Integers) -> Flags:
    """Marks, in each group, the first of its largest values."""
    order = np.lexsort((np.arange(len(values)), -values, groups))
    first = np.ones(len(values), dtype=bool)
    first[1:] = groups[order][1:] != groups[order][:-1]
    best = np.zeros(len(values), dtype=bool)
    best[order[first]] = True
    return best


def _mutual_best(
    found: Floats, per_scene: Integers, people: Floats, counts: Sequence[int], overlap: float
) -> Flags:
    """Which detections (n,) and a person are each other's best overlap, at least `overlap`."""
    detection, person = _pairs(per_scene, counts)
    values = iou(found[detection], people[person])
    mutual = (values >= overlap) & _first_best(values, detection) & _first_best(values, person)
    right = np.zeros(len(found), dtype=bool)
    right[detection[mutual]] = True
    return right


def _inside(
    found: Floats, per_scene: Integers, regions: Floats, counts: Sequence[int], overlap: float
) -> Flags:
    """Which detections (n,) lie with at least `overlap` of their own area in one of the regions."""
    detection, region = _pairs(per_scene, counts)
    own = area(found)[detection]
    covered = intersection(found[detection], regions[region]) >= overlap * own
    inside = np.zeros(len(found), dtype=bool)
    inside[detection[covered & (own > 0)]] = True
    return inside
