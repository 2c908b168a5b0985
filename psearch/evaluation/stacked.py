"""The boxes of all scenes in one array, so that overlaps of a whole split are a few numpy calls."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from psearch.evaluation.overlap import Flags, Integers


@dataclass(frozen=True, eq=False)
class Stacked:
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

    def where(self, mask: Flags) -> Stacked:
        """The boxes a mask (n,) marks, of the same scenes."""
        counts = np.bincount(self.scene[mask], minlength=len(self.counts))
        return Stacked(self.boxes[mask], counts)


def stack(parts: Sequence[np.ndarray]) -> Stacked:
    """One array (n_s, 4) per scene in one."""
    counts = np.array([len(part) for part in parts], dtype=np.int64)
    return Stacked(np.concatenate([np.zeros((0, 4), np.float32), *parts]), counts)


def ranges(starts: Integers, counts: Integers) -> Integers:
    """`start, start + 1, …` of `count` numbers for every pair, one after the other."""
    ends = np.cumsum(counts)
    return np.repeat(starts - (ends - counts), counts) + np.arange(ends[-1] if len(ends) else 0)


def pairs(left: Stacked, right: Stacked, rows: Integers | None = None) -> tuple[Integers, Integers]:
    """Rows (of left, of right) of all pairs that share a scene, ordered by left, then right.

    rows: only these rows of left, in their order; the first answer then counts along them.
    """
    scene = left.scene if rows is None else left.scene[rows]
    counts = right.counts[scene]
    return np.repeat(np.arange(len(scene)), counts), ranges(right.starts[scene], counts)
