"""Detections of one run, scene by scene: what was found, what was a false alarm, what was missed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
from torch import as_tensor
from torchvision.ops import box_iou

from psearch.report.album import MISSED, RIGHT, WRONG
from psearch.report.searches import Box
from psearch.types import Scene


def read_finds(path: Path, names: Sequence[str], *, score: float) -> list[np.ndarray] | None:
    """Of each named scene the boxes (n, 4), xyxy, original pixels, with at least that score, best first, from
    a detections.npz. None if there is no such file or it is cut off."""
    try:
        with np.load(path, allow_pickle=False) as file:
            images, boxes, scores = file["images"], file["boxes"], file["scores"]
    except (OSError, ValueError, KeyError, EOFError, BadZipFile):
        return None
    order = np.argsort(-scores, kind="stable")
    order = order[scores[order] >= score]
    where, boxes = images[order].astype(str), boxes[order]
    return [boxes[where == name] for name in names]


def judge(found: np.ndarray, scene: Scene) -> list[tuple[Box, str]]:
    """Frames for a picture: found people green, false alarms red, missed people amber.

    A person is found by the best-scored detection with IoU >= 0.5; people to be ignored are neither.
    """
    overlap = box_iou(as_tensor(found).float(), as_tensor(scene.boxes).float()).numpy()
    free = np.ones(len(scene.boxes), bool)
    frames: list[tuple[Box, str]] = []
    for box, row in zip(found, overlap, strict=True):
        matches = np.flatnonzero((row >= 0.5) & free)
        ignored = bool((row[scene.ignore] >= 0.5).any())
        if len(matches):
            match = matches[row[matches].argmax()]
            free[match], ignored = False, bool(scene.ignore[match])
        if not ignored:
            frames.append((_box(box), RIGHT if len(matches) else WRONG))
    missed = scene.boxes[free & ~scene.ignore]
    return [*((_box(box), MISSED) for box in missed), *frames]


def _box(values: np.ndarray) -> Box:
    x1, y1, x2, y2 = (float(value) for value in values)
    return x1, y1, x2, y2
