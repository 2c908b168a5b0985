"""Overlap of boxes as evaluators need it: row against row, in float64."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Flags = NDArray[np.bool_]


def area(boxes: np.ndarray) -> Floats:
    """Areas (…) of boxes (…, 4), xyxy; 0 where a box is inside out."""
    size: Floats = np.clip(boxes[..., 2:].astype(np.float64) - boxes[..., :2], 0, None)
    return size.prod(axis=-1)


def intersection(left: np.ndarray, right: np.ndarray) -> Floats:
    """Area (…) that boxes left (…, 4) and right (…, 4) share, by broadcasting."""
    low = np.maximum(left[..., :2], right[..., :2])
    high = np.minimum(left[..., 2:], right[..., 2:])
    return area(np.concatenate([low, high], axis=-1))


def iou(left: np.ndarray, right: np.ndarray) -> Floats:
    """Intersection over union (…) of boxes, by broadcasting; 0 where both have no area."""
    shared = intersection(left, right)
    union = area(left) + area(right) - shared
    return np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)


def covered(boxes: np.ndarray, regions: np.ndarray) -> Floats:
    """Share (…) of each box's own area that lies in a region, by broadcasting; 0 for boxes without area."""
    shared = intersection(boxes, regions)
    own = np.broadcast_to(area(boxes), shared.shape)
    return np.divide(shared, own, out=np.zeros_like(shared), where=own > 0)
