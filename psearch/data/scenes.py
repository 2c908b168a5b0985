"""Scenes from annotations as they are found: boxes cut to their picture, identities renumbered."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from psearch.data.transforms import resize_scale
from psearch.types import UNLABELLED, Scene, Split

log = logging.getLogger(__name__)
"""Readers log what they repair: `psearch.doctor` groups these messages by their text."""


def clipped(boxes: np.ndarray, height: int, width: int) -> np.ndarray:
    """Boxes (n, 4), xyxy, original pixels, cut to the picture, as float32."""
    limits = np.array([width, height, width, height])
    return np.asarray(boxes, np.float64).reshape(-1, 4).clip(0, limits).astype(np.float32)


def corners(boxes: np.ndarray) -> np.ndarray:
    """Boxes (…, 4) given as x, y, width, height as xyxy."""
    return np.concatenate([boxes[..., :2], boxes[..., :2] + boxes[..., 2:]], axis=-1)


def solid(boxes: np.ndarray) -> np.ndarray:
    """Which boxes (n, 4) have an area."""
    return (boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1])


def scene(
    name: str,
    size: tuple[int, int],
    boxes: np.ndarray,
    ids: np.ndarray,
    *,
    ignore: np.ndarray | None = None,
    camera: int = 0,
) -> Scene:
    """A `Scene` with its boxes cut to the picture and those without area left out.

    boxes: (n, 4) xyxy, original pixels, of any type. size: height and width. Every negative id becomes
    UNLABELLED.
    """
    boxes = np.asarray(boxes, np.float64).reshape(-1, 4)
    cut = clipped(boxes, *size)
    keep = solid(cut)
    if (~keep).any():
        log.debug("pictures have a box without area, which is left out: %s", name)
    if (np.abs(cut - boxes)[keep] > 1e-3).any():
        log.debug("pictures have a box that reaches beyond them and is cut: %s", name)
    ignored = np.zeros(len(boxes), bool) if ignore is None else np.asarray(ignore, bool)
    numbers = np.maximum(np.asarray(ids, np.int64), UNLABELLED)
    return Scene(name, *size, cut[keep], numbers[keep], ignored[keep], camera)


def renumbered(scenes: Sequence[Scene]) -> tuple[list[Scene], int]:
    """Training scenes with their identities as 0..N-1 in ascending order of the old ones, and N."""
    ids = np.concatenate([np.zeros(0, np.int64), *(each.ids for each in scenes)])
    known = np.unique(ids[ids >= 0])
    return [
        replace(each, ids=np.where(each.ids >= 0, np.searchsorted(known, each.ids), UNLABELLED))
        for each in scenes
    ], len(known)


class AnchorShapes(NamedTuple):
    """sizes: square roots of areas in input pixels, ascending. aspect: height over width."""

    sizes: tuple[float, ...]
    aspect: float


def anchor_shapes(split: Split, sides: tuple[int, int] | None, count: int) -> AnchorShapes:
    """`count` sizes that share the boxes of a split evenly, and the aspect ratio of the typical box.

    Sizes are the quantiles of sqrt(area) at (i + 0.5) / count, in pixels after the resize to `sides`;
    ignored boxes do not count. ValueError if the split has no box.
    """
    scales = [resize_scale(scene.height, scene.width, sides) for scene in split.scenes]
    boxes = [scene.boxes[~scene.ignore] * scale for scene, scale in zip(split.scenes, scales, strict=True)]
    x1, y1, x2, y2 = np.concatenate([np.zeros((0, 4)), *boxes]).T
    if not x1.size:
        raise ValueError(f"The split '{split.name}' has no boxes to choose anchors from: add some.")
    sizes = np.quantile(np.sqrt((x2 - x1) * (y2 - y1)), (np.arange(count) + 0.5) / count)
    return AnchorShapes(tuple(sizes.tolist()), float(np.median((y2 - y1) / (x2 - x1))))
