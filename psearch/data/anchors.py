"""Anchor sizes for a region proposal network, read off the training boxes."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from psearch.data.transforms import fit
from psearch.types import Split


class AnchorShapes(NamedTuple):
    """sizes: square roots of areas in input pixels, ascending. aspect: height over width."""

    sizes: tuple[float, ...]
    aspect: float


def anchor_shapes(split: Split, sides: tuple[int, int] | None, count: int) -> AnchorShapes:
    """`count` sizes that share the boxes of a split evenly, and the aspect ratio of the typical box.

    Sizes are the quantiles of sqrt(area) at (i + 0.5) / count, in pixels after the resize to `sides`;
    ignored boxes do not count. ValueError if the split has no box.
    """
    scales = [fit(scene.height, scene.width, sides) for scene in split.scenes]
    boxes = [scene.boxes[~scene.ignore] * scale for scene, scale in zip(split.scenes, scales, strict=True)]
    x1, y1, x2, y2 = np.concatenate([np.zeros((0, 4)), *boxes]).T
    if not x1.size:
        raise ValueError(f"The split '{split.name}' has no boxes to choose anchors from: add some.")
    sizes = np.quantile(np.sqrt((x2 - x1) * (y2 - y1)), (np.arange(count) + 0.5) / count)
    return AnchorShapes(tuple(sizes.tolist()), float(np.median((y2 - y1) / (x2 - x1))))
