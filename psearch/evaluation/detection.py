"""Average precision and recall of person detection, as the person-search evaluators define them.

A detection is right if its best-overlapping person and that person's best-overlapping detection are each
other, with IoU >= 0.5 (Xiao et al. 2017 and all that follow). The numbers depend on the score threshold, so
they are only comparable at the same one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from psearch.evaluation.overlap import Flags, Floats, Integers, covered, iou
from psearch.evaluation.precision import average_precision
from psearch.evaluation.stacked import Stacked, pairs, stack
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
    people, ignored = targets(scenes, labelled_only=labelled_only)
    boxes, scores = found(scenes, detections)
    kept = scores >= score
    return match_detections(people, ignored, boxes.where(kept), scores[kept], overlap=overlap)


def match_detections(
    people: Stacked, ignored: Stacked, boxes: Stacked, scores: np.ndarray, *, overlap: float = 0.5
) -> DetectionResult:
    """The metric on plain arrays: scores (n,) of boxes against people.

    A detection that is not right and has at least `overlap` of its own area in one ignored box (COCO's rule
    for crowds) is left out of the count. ValueError if there is nobody to find.
    """
    total = len(people.boxes)
    if not total:
        raise ValueError("no person to find in any scene: detection cannot be measured on this split")
    right = _mutual_best(boxes, people, overlap)
    counted = right | ~_inside(boxes, ignored, overlap)
    AP = average_precision(np.sort(scores[right]), np.sort(scores[counted]), total)
    hits = int(right.sum())
    return DetectionResult(AP=AP, recall=hits / total, people=total, found=hits)


def targets(scenes: Sequence[Scene], *, labelled_only: bool = False) -> tuple[Stacked, Stacked]:
    """(people to find, boxes that are neither right nor wrong to find) of all scenes."""
    boxes = stack([scene.boxes for scene in scenes])
    wanted = ~np.concatenate([np.zeros(0, bool), *(scene.ignore for scene in scenes)])
    if labelled_only:
        wanted &= np.concatenate([np.zeros(0, np.int64), *(scene.ids for scene in scenes)]) != UNLABELLED
    return boxes.where(wanted), boxes.where(~wanted)


def found(scenes: Sequence[Scene], detections: Sequence[Detections]) -> tuple[Stacked, np.ndarray]:
    """Boxes and scores (n,) of everything detected, in scene order."""
    if len(scenes) != len(detections):
        raise ValueError(f"{len(detections)} detections for {len(scenes)} scenes: give one per scene")
    scores = [part.scores for part in detections]
    return stack([part.boxes for part in detections]), np.concatenate([np.zeros(0, np.float32), *scores])


def _first_best(values: Floats, groups: Integers) -> Flags:
    """Marks, in each group, the first of its largest values."""
    order = np.lexsort((-values, groups))
    first = np.ones(len(values), dtype=bool)
    first[1:] = groups[order][1:] != groups[order][:-1]
    best = np.zeros(len(values), dtype=bool)
    best[order[first]] = True
    return best


def _mutual_best(boxes: Stacked, people: Stacked, overlap: float) -> Flags:
    """Which boxes (n,) and a person are each other's best overlap, at least `overlap`."""
    box, person = pairs(boxes, people)
    values = iou(boxes.boxes[box], people.boxes[person])
    enough = values >= overlap
    box, person, values = box[enough], person[enough], values[enough]
    right = np.zeros(len(boxes.boxes), dtype=bool)
    right[box[_first_best(values, box) & _first_best(values, person)]] = True
    return right


def _inside(boxes: Stacked, regions: Stacked, overlap: float) -> Flags:
    """Which boxes (n,) lie with at least `overlap` of their own area in one of the regions."""
    box, region = pairs(boxes, regions)
    inside = np.zeros(len(boxes.boxes), dtype=bool)
    inside[box[covered(boxes.boxes[box], regions.boxes[region]) >= overlap]] = True
    return inside
