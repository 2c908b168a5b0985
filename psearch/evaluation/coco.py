"""COCO's average precision of person detection, for comparison with detectors from outside person search."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from psearch.evaluation.detection import found, targets
from psearch.evaluation.overlap import Flags, Floats, Integers, covered, iou
from psearch.evaluation.stacked import Stacked, ranges
from psearch.types import Detections, Scene

OVERLAPS: Floats = np.linspace(0.5, 0.95, 10)
RECALLS: Floats = np.linspace(0, 1, 101)


@dataclass(frozen=True)
class CocoResult:
    """AP: mean over IoU 0.50, 0.55 … 0.95; AP50, AP75: at that IoU alone. All in 0…1."""

    AP: float
    AP50: float
    AP75: float


def coco_AP(scenes: Sequence[Scene], detections: Sequence[Detections], *, limit: int = 100) -> CocoResult:
    """COCO's metric (Lin et al. 2014, `pycocotools` with area "all"): detections take, best score first, the
    free person they overlap most; precision is read at 101 recalls after making it non-increasing.

    `Scene.ignore` counts as COCO's crowd: it may be found any number of times, at no gain and no loss. limit:
    detections per scene. ValueError if there is nobody to find.
    """
    people, ignored = targets(scenes)
    if not len(people.boxes):
        raise ValueError("no person to find in any scene: detection cannot be measured on this split")
    boxes, scores = found(scenes, detections)
    order, rank = _by_score(boxes, scores)
    order, rank = order[rank < limit], rank[rank < limit]
    scene = boxes.scene[order]
    right = _greedy(boxes.boxes[order], scene, rank, people)
    counted = right | ~_on_crowd(boxes.boxes[order], scene, ignored)
    first = np.argsort(-scores[order], kind="stable")
    APs = [
        interpolated_precision(right[i, first][counted[i, first]], len(people.boxes))
        for i in range(len(OVERLAPS))
    ]
    return CocoResult(AP=float(np.mean(APs)), AP50=APs[0], AP75=APs[5])


def interpolated_precision(right: Flags, total: int) -> float:
    """Mean precision at 101 recalls of answers (n,), best first; 0 where that recall is never reached."""
    hits = np.cumsum(right)
    precision = np.maximum.accumulate((hits / np.arange(1, len(hits) + 1))[::-1])[::-1]
    at = np.searchsorted(hits / total, RECALLS, side="left")
    return float(np.append(precision, 0.0)[at].mean())


def _by_score(boxes: Stacked, scores: np.ndarray) -> tuple[Integers, Integers]:
    """Rows ordered by scene, then falling score, and the place of each in its scene."""
    order = np.lexsort((np.arange(len(scores)), -scores, boxes.scene))
    return order, ranges(np.zeros_like(boxes.counts), boxes.counts)


def _padded(boxes: Stacked) -> tuple[np.ndarray, Flags]:
    """(S, g, 4) the boxes of each scene, g those of the fullest, and (S, g) which of them are there."""
    column = ranges(np.zeros_like(boxes.counts), boxes.counts)
    there = np.arange(max(1, boxes.counts.max(initial=0))) < boxes.counts[:, None]
    padded = np.zeros((*there.shape, 4), np.float32)
    padded[boxes.scene, column] = boxes.boxes
    return padded, there


def _greedy(boxes: np.ndarray, scene: Integers, rank: Integers, people: Stacked) -> Flags:
    """(t, n) which boxes take a free person at each of the t overlaps: the best box of every scene first, all
    scenes at once; of equally overlapped people the last one is taken, as `pycocotools` does."""
    persons, there = _padded(people)
    free = np.repeat(there[None], len(OVERLAPS), axis=0)
    right = np.zeros((len(OVERLAPS), len(boxes)), dtype=bool)
    for place in range(rank.max(initial=-1) + 1):
        rows = np.flatnonzero(rank == place)
        values = iou(boxes[rows, None], persons[scene[rows]])
        open_ = free[:, scene[rows]] & (values >= OVERLAPS[:, None, None])
        choice = values.shape[1] - 1 - np.where(open_, values, -1)[..., ::-1].argmax(axis=-1)
        taken = open_.any(axis=-1)
        right[:, rows] = taken
        t, row = np.nonzero(taken)
        free[t, scene[rows[row]], choice[t, row]] = False
    return right


def _on_crowd(boxes: np.ndarray, scene: Integers, ignored: Stacked) -> Flags:
    """(t, n) which boxes lie on an ignored one at each of the t overlaps."""
    regions, there = _padded(ignored)
    share = np.where(there[scene], covered(boxes[:, None], regions[scene]), -1).max(axis=1)
    return share >= OVERLAPS[:, None]
