"""Overlap of boxes as evaluators need it: row against row, in float64."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Flags = NDArray[np.bool_]


def area(boxes: np.ndarray) -> Floats:
    """Areas (n,) of boxes (n, 4), xyxy; 0 where a box is inside out."""
    size: Floats = np.clip(boxes[:, 2:].astype(np.float64) - boxes[:, :2], 0, None)
    return size.prod(axis=1)


def intersection(left: np.ndarray, right: np.ndarray) -> Floats:
    """Area (n,) that row i of left (n, 4) and row i of right (n, 4) share."""
    low = np.maximum(left[:, :2], right[:, :2])
    high = np.minimum(left[:, 2:], right[:, 2:])
    return area(np.concatenate([low, high], axis=1))


def iou(left: np.ndarray, right: np.ndarray) -> Floats:
    """Intersection over union (n,) of row i with row i; 0 where both have no area."""
    left, right = left.astype(np.float64), right.astype(np.float64)
    shared = intersection(left, right)
    union = area(left) + area(right) - shared
    return np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)


def ranges(starts: np.ndarray, counts: np.ndarray) -> Integers:
    """`start, start + 1, …` of `count` numbers for every pair, one after the other."""
    ends = np.cumsum(counts)
    return np.repeat(starts - (ends - counts), counts) + np.arange(ends[-1] if len(ends) else 0)
