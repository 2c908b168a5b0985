"""What an evaluation brings."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from psearch.evaluation.result import SearchResult
from psearch.types import Detections


@dataclass(frozen=True, eq=False)
class Evaluation:
    """Everything measured in one evaluation.

    metrics: flat, 0…1, named as in `results.json`. protocol: decisions and counts that belong beside them;
    the caller adds what it knows of the data. per_query: lists in protocol order, None where a query was
    skipped. intervals: 95% bootstrap over queries. searches: name -> mode, gallery size, metrics and counts
    under another protocol or in another gallery. detections, query_embeddings: what `detections.npz` holds.
    result: rank lists to draw; all of these are of the ground-truth boxes for a network that does not detect.
    """

    metrics: dict[str, float]
    protocol: dict[str, object]
    per_query: dict[str, list[float | None]]
    intervals: dict[str, list[float]]
    searches: dict[str, dict[str, object]]
    detections: list[Detections]
    query_embeddings: np.ndarray
    result: SearchResult
