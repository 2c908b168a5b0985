"""`detections.npz`: what any detector found, so that it can be evaluated without its model.

Arrays: images (N,) the scene's file name per detection; boxes (N, 4) xyxy, original pixels; scores (N,)
probability of a person; embeddings (N, d); query_embeddings (Q, d) in the protocol's query order.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from psearch.evaluation.boxes import Integers
from psearch.files import read_arrays, write_arrays
from psearch.types import Detections, Scene

DETECTIONS = "detections.npz"
"""What the file is called in a run directory."""

ARRAYS = ("images", "boxes", "scores", "embeddings", "query_embeddings")


def write_detections(
    path: str | Path, scenes: Sequence[Scene], detections: Sequence[Detections], query_embeddings: np.ndarray
) -> None:
    """Save detections, one per scene, and the embeddings of the queries; the file is there whole or not."""
    assert len(scenes) == len(detections)
    names = np.array([scene.name for scene in scenes])
    arrays: dict[str, Any] = {
        "images": np.repeat(names, [len(found.boxes) for found in detections]),
        "boxes": np.concatenate([found.boxes for found in detections]),
        "scores": np.concatenate([found.scores for found in detections]),
        "embeddings": np.concatenate([found.embeddings for found in detections]),
        "query_embeddings": query_embeddings,
    }
    write_arrays(Path(path), arrays)


def read_detections(
    path: str | Path, scenes: Sequence[Scene], *, queries: int | None
) -> tuple[list[Detections], np.ndarray]:
    """Detections per scene, best score first, and query embeddings (queries, d).

    queries: how many the split has; None takes any number, for who looks at detections only.
    Embeddings are taken as they are: similarities are their dot products, so they should have unit length
    unless their author wants otherwise. ValueError names the array, shape or scene that is wrong.
    """
    path = Path(path)
    arrays = _load(path)
    try:
        _check_shapes(arrays, arrays["query_embeddings"].shape[:1] if queries is None else (queries,))
        place = _places(arrays["images"], scenes)
        _check_values(arrays, scenes, place)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    order = np.lexsort((-arrays["scores"], place))
    ends = np.cumsum(np.bincount(place, minlength=len(scenes)))[:-1]
    parts = [np.split(arrays[name][order], ends) for name in ("boxes", "scores", "embeddings")]
    found = [Detections(*scene) for scene in zip(*parts, strict=True)]
    return found, arrays["query_embeddings"]


def _load(path: Path) -> dict[str, np.ndarray]:
    """The five arrays, names as text and numbers as float32."""
    if not path.is_file():
        raise ValueError(f"{path}: no such file; save_detections=true writes one, or see numpy.savez")
    arrays = read_arrays(path, ARRAYS)
    for name, values in arrays.items():
        if values.dtype.kind not in ("US" if name == "images" else "fiu"):
            raise ValueError(
                f"{path}: array {name} holds {values.dtype}, not {'text' if name == 'images' else 'numbers'}"
            )
    return {name: values.astype(str if name == "images" else np.float32) for name, values in arrays.items()}


def _check_shapes(arrays: Mapping[str, np.ndarray], queries: tuple[int, ...]) -> None:
    n, width = arrays["images"].size, arrays["query_embeddings"].shape[-1:]
    expected = {
        "images": (n,),
        "boxes": (n, 4),
        "scores": (n,),
        "query_embeddings": (*queries, *width),
        "embeddings": (n, *width),
    }
    for name, shape in expected.items():
        if arrays[name].shape != shape:
            raise ValueError(f"array {name} has shape {arrays[name].shape}, expected {shape}")


def _places(images: np.ndarray, scenes: Sequence[Scene]) -> Integers:
    """(N,) index of the scene each detection lies in."""
    index = {scene.name: place for place, scene in enumerate(scenes)}
    names, inverse = np.unique(images, return_inverse=True)
    unknown = [str(name) for name in names if str(name) not in index]
    if unknown:
        raise ValueError(
            f"array images names {len(unknown)} scenes that are not of this split, first {unknown[0]!r}; "
            f"names look like {scenes[0].name!r}"
        )
    return np.array([index[str(name)] for name in names], dtype=np.int64)[inverse]


def _check_values(arrays: Mapping[str, np.ndarray], scenes: Sequence[Scene], place: Integers) -> None:
    boxes, scores = arrays["boxes"], arrays["scores"]
    wrong = {
        "boxes are NaN or infinite": ~np.isfinite(boxes).all(axis=1),
        "embeddings are NaN or infinite": ~np.isfinite(arrays["embeddings"]).all(axis=1),
        "scores are not probabilities in 0…1": ~((scores >= 0) & (scores <= 1)),
        "boxes end before they begin (give x1, y1, x2, y2)": (boxes[:, 2:] < boxes[:, :2]).any(axis=1),
    }
    for what, rows in wrong.items():
        if rows.any():
            first = scenes[place[rows.argmax()]].name
            raise ValueError(f"{rows.sum()} of {len(rows)} {what}, first in scene {first}")
    bad = ~np.isfinite(arrays["query_embeddings"]).all(axis=1)
    if bad.any():
        raise ValueError(f"array query_embeddings is NaN or infinite for query {bad.argmax()}")
