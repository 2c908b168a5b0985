"""Average precision and recall of person detection, as the person-search evaluators define them.

A detection is right if it and a person have the highest IoU with each other, of all people and of all
detections of the scene, and that IoU is >= 0.5 (Xiao et al. 2017 and all that follow). The numbers depend on
the score threshold, so they are only comparable at the same one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from psearch.evaluation.boxes import (
    Flags,
    Floats,
    Integers,
    RaggedBoxes,
    concatenated_ranges,
    covered,
    iou,
    same_scene_pairs,
    stack,
)
from psearch.evaluation.ranking import average_precision
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
    score_threshold: float = 0.5,
    iou_threshold: float = 0.5,
    labelled_only: bool = False,
) -> DetectionResult:
    """Detections with at least `score_threshold` against the people of the scenes.

    labelled_only: the people to find are those with an identity; finding another is then neither right nor
    wrong. `Scene.ignore` works the same way in both cases.
    """
    people, ignored = targets(scenes, labelled_only=labelled_only)
    boxes, scores = found(scenes, detections)
    kept = scores >= score_threshold
    return match_detections(people, ignored, boxes.where(kept), scores[kept], iou_threshold=iou_threshold)


def match_detections(
    people: RaggedBoxes,
    ignored: RaggedBoxes,
    boxes: RaggedBoxes,
    scores: np.ndarray,
    *,
    iou_threshold: float = 0.5,
) -> DetectionResult:
    """The metric on plain arrays: scores (n,) of boxes against people.

    A detection that is not right and has at least that share of its own area in one ignored box (COCO's rule
    for crowds) is left out of the count. ValueError if there is nobody to find.
    """
    total = len(people.boxes)
    if not total:
        raise ValueError("no person to find in any scene: detection cannot be measured on this split")
    matches = match(people, ignored, boxes, iou_threshold=iou_threshold)
    AP = average_precision(np.sort(scores[matches.right]), np.sort(scores[matches.counted]), total)
    hits = int(matches.right.sum())
    return DetectionResult(AP=AP, recall=hits / total, people=total, found=hits)


@dataclass(frozen=True, eq=False)
class Matches:
    """right: (n,) boxes that are right; counted: (n,) those that count at all. found: (p,) people who have a
    right box."""

    right: Flags
    counted: Flags
    found: Flags


def match(
    people: RaggedBoxes, ignored: RaggedBoxes, boxes: RaggedBoxes, *, iou_threshold: float = 0.5
) -> Matches:
    """Which detections are right, for numbers and for the pictures beside them; see `match_detections`."""
    box, person = _mutual_best(boxes, people, iou_threshold)
    right, found = np.zeros(len(boxes.boxes), dtype=bool), np.zeros(len(people.boxes), dtype=bool)
    right[box], found[person] = True, True
    return Matches(right, right | ~_inside(boxes, ignored, iou_threshold), found)


def targets(scenes: Sequence[Scene], *, labelled_only: bool = False) -> tuple[RaggedBoxes, RaggedBoxes]:
    """(people to find, boxes that are neither right nor wrong to find) of all scenes."""
    boxes = stack([scene.boxes for scene in scenes])
    wanted = ~np.concatenate([np.zeros(0, bool), *(scene.ignore for scene in scenes)])
    if labelled_only:
        wanted &= np.concatenate([np.zeros(0, np.int64), *(scene.ids for scene in scenes)]) != UNLABELLED
    return boxes.where(wanted), boxes.where(~wanted)


def found(scenes: Sequence[Scene], detections: Sequence[Detections]) -> tuple[RaggedBoxes, np.ndarray]:
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


def _mutual_best(boxes: RaggedBoxes, people: RaggedBoxes, iou_threshold: float) -> tuple[Integers, Integers]:
    """(boxes, people), the pairs that are each other's highest IoU, at least `iou_threshold`."""
    box, person = same_scene_pairs(boxes, people)
    values = iou(boxes.boxes[box], people.boxes[person])
    enough = values >= iou_threshold
    box, person, values = box[enough], person[enough], values[enough]
    mutual = _first_best(values, box) & _first_best(values, person)
    return box[mutual], person[mutual]


def _inside(boxes: RaggedBoxes, regions: RaggedBoxes, share: float) -> Flags:
    """Which boxes (n,) lie with at least `share` of their own area in one of the regions."""
    box, region = same_scene_pairs(boxes, regions)
    inside = np.zeros(len(boxes.boxes), dtype=bool)
    inside[box[covered(boxes.boxes[box], regions.boxes[region]) >= share]] = True
    return inside


IOU_THRESHOLDS: Floats = np.linspace(0.5, 0.95, 10)
RECALLS: Floats = np.linspace(0, 1, 101)


@dataclass(frozen=True)
class CocoResult:
    """AP: mean over IoU 0.50, 0.55 … 0.95; AP50: at IoU 0.50 alone. Both in 0…1."""

    AP: float
    AP50: float


def coco_AP(
    scenes: Sequence[Scene], detections: Sequence[Detections], *, max_detections: int = 100
) -> CocoResult:
    """COCO's metric (Lin et al. 2014, `pycocotools` with area "all"): detections take, best score first, the
    free person of the highest IoU; precision is read at 101 recalls after making it non-increasing.

    `Scene.ignore` counts as COCO's crowd: it may be found any number of times, at no gain and no loss.
    max_detections: per scene. ValueError if there is nobody to find.
    """
    people, ignored = targets(scenes)
    if not len(people.boxes):
        raise ValueError("no person to find in any scene: detection cannot be measured on this split")
    boxes, scores = found(scenes, detections)
    order, rank = _by_score(boxes, scores)
    order, rank = order[rank < max_detections], rank[rank < max_detections]
    scene = boxes.scene[order]
    right = _greedy(boxes.boxes[order], scene, rank, people)
    counted = right | ~_on_crowd(boxes.boxes[order], scene, ignored)
    first = np.argsort(-scores[order], kind="stable")
    APs = [
        interpolated_precision(right[i, first][counted[i, first]], len(people.boxes))
        for i in range(len(IOU_THRESHOLDS))
    ]
    return CocoResult(AP=float(np.mean(APs)), AP50=APs[0])


def interpolated_precision(right: Flags, total: int) -> float:
    """Mean precision at 101 recalls of detections (n,), best first; 0 where that recall is never reached."""
    hits = np.cumsum(right)
    precision = np.maximum.accumulate((hits / np.arange(1, len(hits) + 1))[::-1])[::-1]
    at = np.searchsorted(hits / total, RECALLS, side="left")
    return float(np.append(precision, 0.0)[at].mean())


def _by_score(boxes: RaggedBoxes, scores: np.ndarray) -> tuple[Integers, Integers]:
    """Rows ordered by scene, then falling score, and the place of each in its scene."""
    order = np.lexsort((np.arange(len(scores)), -scores, boxes.scene))
    return order, concatenated_ranges(np.zeros_like(boxes.counts), boxes.counts)


def _padded(boxes: RaggedBoxes) -> tuple[np.ndarray, Flags]:
    """(S, g, 4) the boxes of each scene, g those of the fullest, and (S, g) which of them are there."""
    column = concatenated_ranges(np.zeros_like(boxes.counts), boxes.counts)
    there = np.arange(max(1, boxes.counts.max(initial=0))) < boxes.counts[:, None]
    padded = np.zeros((*there.shape, 4), np.float32)
    padded[boxes.scene, column] = boxes.boxes
    return padded, there


def _greedy(boxes: np.ndarray, scene: Integers, rank: Integers, people: RaggedBoxes) -> Flags:
    """(t, n) which boxes take a free person at each of the t IoU thresholds: the best box of every scene
    first, all scenes at once; of people with equal IoU the last one is taken, as `pycocotools` does."""
    persons, there = _padded(people)
    free = np.repeat(there[None], len(IOU_THRESHOLDS), axis=0)
    right = np.zeros((len(IOU_THRESHOLDS), len(boxes)), dtype=bool)
    for place in range(rank.max(initial=-1) + 1):
        rows = np.flatnonzero(rank == place)
        values = iou(boxes[rows, None], persons[scene[rows]])
        open_ = free[:, scene[rows]] & (values >= IOU_THRESHOLDS[:, None, None])
        choice = values.shape[1] - 1 - np.where(open_, values, -1)[..., ::-1].argmax(axis=-1)
        taken = open_.any(axis=-1)
        right[:, rows] = taken
        t, row = np.nonzero(taken)
        free[t, scene[rows[row]], choice[t, row]] = False
    return right


def _on_crowd(boxes: np.ndarray, scene: Integers, ignored: RaggedBoxes) -> Flags:
    """(t, n) which boxes lie on an ignored one at each of the t IoU thresholds."""
    regions, there = _padded(ignored)
    share = np.where(there[scene], covered(boxes[:, None], regions[scene]), -1).max(axis=1)
    result: Flags = share >= IOU_THRESHOLDS[:, None]
    return result
