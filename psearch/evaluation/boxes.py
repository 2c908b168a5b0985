"""IoU of boxes as evaluators need it: row against row, in float64; the boxes of many scenes in one array."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Flags = NDArray[np.bool_]


def area(boxes: np.ndarray) -> Floats:
    """Areas (…) of boxes (…, 4), xyxy; 0 where a box ends before it begins."""
    size: Floats = np.clip(boxes[..., 2:].astype(np.float64) - boxes[..., :2], 0, None)
    result: Floats = size.prod(axis=-1)
    return result


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
    areas = np.broadcast_to(area(boxes), shared.shape)
    return np.divide(shared, areas, out=np.zeros_like(shared), where=areas > 0)


@dataclass(frozen=True, eq=False)
class RaggedBoxes:
    """n boxes of S scenes, in scene order: boxes (n, 4) xyxy, original pixels; counts (S,) boxes in each."""

    boxes: np.ndarray
    counts: Integers

    @property
    def scene(self) -> Integers:
        """(n,) the scene each box lies in."""
        return np.repeat(np.arange(len(self.counts)), self.counts)

    @property
    def starts(self) -> Integers:
        """(S,) the first row of each scene."""
        return np.cumsum(self.counts) - self.counts

    def where(self, mask: Flags) -> RaggedBoxes:
        """The boxes a mask (n,) marks, of the same scenes."""
        counts = np.bincount(self.scene[mask], minlength=len(self.counts))
        return RaggedBoxes(self.boxes[mask], counts)


def stack(parts: Sequence[np.ndarray]) -> RaggedBoxes:
    """One array (n_s, 4) per scene in one."""
    counts = np.array([len(part) for part in parts], dtype=np.int64)
    return RaggedBoxes(np.concatenate([np.zeros((0, 4), np.float32), *parts]), counts)


def concatenated_ranges(starts: Integers, counts: Integers) -> Integers:
    """`start, start + 1, …` of `count` numbers for every pair, one after the other."""
    ends = np.cumsum(counts)
    return np.repeat(starts - (ends - counts), counts) + np.arange(ends[-1] if len(ends) else 0)


def same_scene_pairs(
    left: RaggedBoxes, right: RaggedBoxes, rows: Integers | None = None
) -> tuple[Integers, Integers]:
    """Rows (of left, of right) of all pairs that share a scene, ordered by left, then right.

    rows: only these rows of left, in their order; the first result then counts along them.
    """
    scene = left.scene if rows is None else left.scene[rows]
    counts = right.counts[scene]
    return np.repeat(np.arange(len(scene)), counts), concatenated_ranges(right.starts[scene], counts)
