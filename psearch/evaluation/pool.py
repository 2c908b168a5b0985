"""All detections of a split in flat arrays, checked once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from psearch.evaluation.overlap import Integers
from psearch.types import Detections, Query, Scene


@dataclass(frozen=True, eq=False)
class Pool:
    """N detections of S scenes, in scene order.

    boxes: (N, 4) xyxy, original pixels. embeddings: (N, d). scene: (N,) index of the scene each lies in;
    detection: (N,) its index among that scene's detections. starts, counts: (S,) rows of each scene.
    """

    boxes: np.ndarray
    embeddings: np.ndarray
    scene: Integers
    detection: Integers
    starts: Integers
    counts: Integers


def pool_detections(
    scenes: Sequence[Scene], detections: Sequence[Detections], *, score: float, width: int
) -> Pool:
    """Flatten what was found with at least `score`; width: length of the queries' embeddings.

    ValueError names the scene whose arrays cannot be used.
    """
    if len(scenes) != len(detections):
        raise ValueError(f"{len(detections)} detections for {len(scenes)} scenes: give one per scene")
    for scene, found in zip(scenes, detections, strict=True):
        if len(found.boxes):
            _check(scene.name, found, width)
    kept = [np.flatnonzero(found.scores >= score) for found in detections]
    counts = np.array([len(rows) for rows in kept], dtype=np.int64)
    chosen = [(found, rows) for found, rows in zip(detections, kept, strict=True) if len(rows)]
    return Pool(
        boxes=np.concatenate([np.zeros((0, 4), np.float32), *(found.boxes[rows] for found, rows in chosen)]),
        embeddings=np.concatenate(
            [np.zeros((0, width), np.float32), *(found.embeddings[rows] for found, rows in chosen)]
        ),
        scene=np.repeat(np.arange(len(scenes)), counts),
        detection=np.concatenate([np.zeros(0, np.int64), *kept]),
        starts=np.cumsum(counts) - counts,
        counts=counts,
    )


def _check(name: str, found: Detections, width: int) -> None:
    n = len(found.boxes)
    for part, shape in {"boxes": (n, 4), "scores": (n,), "embeddings": (n, width)}.items():
        values = getattr(found, part)
        if values.shape != shape:
            raise ValueError(
                f"scene {name}: detections' {part} have shape {values.shape}, expected {shape}"
                + (", as those of queries" if part == "embeddings" else "")
            )
        if not np.isfinite(values).all():
            raise ValueError(
                f"scene {name}: detections' {part} hold NaN or infinite values; "
                "look for a diverged training or an empty region before trusting any number"
            )


def check_queries(scenes: Sequence[Scene], queries: Sequence[Query], embeddings: np.ndarray) -> None:
    """ValueError names the query whose embedding or gallery cannot be used."""
    if not len(queries):
        raise ValueError("no query: search cannot be measured on this split")
    if embeddings.ndim != 2 or len(embeddings) != len(queries):
        raise ValueError(
            f"query embeddings have shape {embeddings.shape}, expected one row for each of {len(queries)}"
        )
    for index in np.flatnonzero(~np.isfinite(embeddings).all(axis=1))[:1]:
        name = scenes[queries[index].scene].name
        raise ValueError(f"query {index} (scene {name}): its embedding holds NaN or infinite values")
    for index, query in enumerate(queries):
        name = f"query {index} (scene {scenes[query.scene].name})"
        if not len(query.gallery):
            raise ValueError(f"{name} has an empty gallery")
        if query.gallery.min() < 0 or query.gallery.max() >= len(scenes):
            stray = next(int(i) for i in query.gallery if not 0 <= i < len(scenes))
            raise ValueError(f"{name}: its gallery lists scene {stray}, but there are {len(scenes)} scenes")
