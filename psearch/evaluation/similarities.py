"""Dot products of queries with detections: for a chunk of queries at once, or for few detections each."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

from psearch.evaluation.overlap import Integers

CHUNK = 2**24
"""Similarities held at once: 64 MiB of float32."""

FEW = 0.1
"""Share of the detections below which looking up a query's own candidates beats the whole product."""

Similarities = Callable[[int, Integers], np.ndarray]
"""(query, candidates) -> (N,) similarities of the query with all N detections, valid at the candidates."""


def similarities(
    detections: np.ndarray, queries: np.ndarray, *, share: float, device: torch.device | str
) -> Similarities:
    """Similarities of queries (Q, d), asked for in order, with detections (N, d).

    share: of all detections, the part that a query is compared with on average.
    """
    if share < FEW and torch.device(device).type == "cpu":
        return _Few(detections, queries)
    return _Chunks(detections, queries, device)


class _Few:
    """A small product per query."""

    def __init__(self, detections: np.ndarray, queries: np.ndarray) -> None:
        self.detections, self.queries = detections, queries
        self.row = np.zeros(len(detections), np.float32)

    def __call__(self, query: int, candidates: Integers) -> np.ndarray:
        row = self.row.copy()
        row[candidates] = self.detections[candidates] @ self.queries[query]
        return row


class _Chunks:
    """One large product per chunk of queries."""

    def __init__(self, detections: np.ndarray, queries: np.ndarray, device: torch.device | str) -> None:
        self.right = torch.from_numpy(detections).to(device).T
        self.queries = torch.from_numpy(queries).to(device, self.right.dtype)
        self.step = max(1, CHUNK // max(1, len(detections)))
        self.start, self.rows = 0, np.zeros((0, len(detections)), np.float32)

    def __call__(self, query: int, candidates: Integers) -> np.ndarray:
        if not self.start <= query < self.start + len(self.rows):
            self.start = query
            self.rows = (self.queries[query : query + self.step] @ self.right).cpu().numpy()
        return self.rows[query - self.start]
