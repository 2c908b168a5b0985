"""All detections of a split in flat arrays, checked once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from psearch.evaluation.boxes import Integers, RaggedBoxes, concatenated_ranges, stack
from psearch.types import Detections, Query, Scene


@dataclass(frozen=True, eq=False)
class Pool:
    """N detections of S scenes, in scene order.

    boxes: N boxes, original pixels. scores: (N,). embeddings: (N, d). scene: (N,) the scene each lies in;
    detection: (N,) its index among that scene's detections. weighted: embeddings are multiplied by scores.
    """

    boxes: RaggedBoxes
    scores: np.ndarray
    embeddings: np.ndarray
    scene: Integers
    detection: Integers
    weighted: bool = False

    def unweighted(self, rows: Integers) -> np.ndarray:
        """Embeddings of some detections, as they were given."""
        given = self.embeddings[rows]
        return given / self.scores[rows, None] if self.weighted else given


def pool_detections(
    scenes: Sequence[Scene],
    detections: Sequence[Detections],
    *,
    score_threshold: float,
    width: int,
    weighted: bool = False,
) -> Pool:
    """Flatten what was detected with at least `score_threshold`; width: length of the queries' embeddings.
    weighted: multiply embeddings by scores, so that dot products with them are confidence-weighted.

    ValueError names the scene whose arrays cannot be used.
    """
    if len(scenes) != len(detections):
        raise ValueError(f"{len(detections)} detections for {len(scenes)} scenes: give one per scene")
    some = [(scene.name, found) for scene, found in zip(scenes, detections, strict=True) if len(found.boxes)]
    for name, found in some:
        _check_shapes(name, found, width)
    boxes = stack([found.boxes.reshape(-1, 4) for found in detections])
    scores = np.concatenate([np.zeros(0, np.float32), *(found.scores for _, found in some)])
    embeddings = np.concatenate([np.zeros((0, width), np.float32), *(found.embeddings for _, found in some)])
    for part, values in (("boxes", boxes.boxes), ("scores", scores[:, None]), ("embeddings", embeddings)):
        _check_finite(scenes, boxes, part, values)
    kept = scores >= score_threshold
    fewer = boxes.where(kept)
    detection = concatenated_ranges(np.zeros_like(boxes.counts), boxes.counts)
    vectors = embeddings[kept] * scores[kept, None] if weighted else embeddings[kept]
    return Pool(fewer, scores[kept], vectors, fewer.scene, detection[kept], weighted)


def _check_shapes(name: str, found: Detections, width: int) -> None:
    n = len(found.boxes)
    for part, shape in {"boxes": (n, 4), "scores": (n,), "embeddings": (n, width)}.items():
        values = getattr(found, part)
        if values.shape != shape:
            raise ValueError(
                f"scene {name}: detections' {part} have shape {values.shape}, expected {shape}"
                + (", as those of queries" if part == "embeddings" else "")
            )


def _check_finite(scenes: Sequence[Scene], boxes: RaggedBoxes, part: str, values: np.ndarray) -> None:
    for row in np.flatnonzero(~np.isfinite(values).all(axis=1))[:1]:
        raise ValueError(
            f"scene {scenes[boxes.scene[row]].name}: detections' {part} hold NaN or infinite values; "
            "look for a diverged training or a box without area before trusting any number"
        )


def check_queries(scenes: Sequence[Scene], queries: Sequence[Query], embeddings: np.ndarray) -> None:
    """ValueError names the query whose embedding cannot be used."""
    if embeddings.ndim != 2 or len(embeddings) != len(queries):
        raise ValueError(
            f"query embeddings have shape {embeddings.shape}, expected one row for each of {len(queries)}"
        )
    for index in np.flatnonzero(~np.isfinite(embeddings).all(axis=1))[:1]:
        name = scenes[queries[index].scene].name
        raise ValueError(f"query {index} (scene {name}): its embedding holds NaN or infinite values")


def check_galleries(scenes: Sequence[Scene], queries: Sequence[Query]) -> None:
    """ValueError names the query whose gallery cannot be searched."""
    if not len(queries):
        raise ValueError("no query: search cannot be measured on this split")
    for index, query in enumerate(queries):
        name = f"query {index} (scene {scenes[query.scene].name})"
        if not len(query.gallery):
            raise ValueError(f"{name} has an empty gallery")
        if query.gallery.min() < 0 or query.gallery.max() >= len(scenes):
            stray = next(int(i) for i in query.gallery if not 0 <= i < len(scenes))
            raise ValueError(f"{name}: its gallery lists scene {stray}, but there are {len(scenes)} scenes")
