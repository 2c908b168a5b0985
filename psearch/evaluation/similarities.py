"""Dot products of queries with detections: for a chunk of queries at once, or for few detections each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment

from psearch.evaluation.boxes import Integers, iou
from psearch.evaluation.pool import Pool
from psearch.types import Query

CHUNK = 2**24
"""Similarities held at once: 64 MiB of float32."""

FEW = 0.1
"""Share of the detections below which looking up a query's own candidates beats the whole product."""

Similarities = Callable[[int, Integers], np.ndarray]
"""(query, candidates) -> (N,) similarities of the query with all N detections, valid at the candidates."""


def similarities(
    detections: np.ndarray, queries: np.ndarray, *, share: float, device: torch.device | str
) -> Similarities:
    """Similarities of queries (Q, d), called in their order, with detections (N, d).

    share: of all detections, the part that a query is compared with on average.
    """
    if share < FEW and torch.device(device).type == "cpu":
        return _PerQuery(detections, queries)
    return _Batched(detections, queries, device)


class _PerQuery:
    """A small product per query."""

    def __init__(self, detections: np.ndarray, queries: np.ndarray) -> None:
        self.detections, self.queries = detections, queries
        self.row = np.zeros(len(detections), np.float32)

    def __call__(self, query: int, candidates: Integers) -> np.ndarray:
        row = self.row.copy()
        row[candidates] = self.detections[candidates] @ self.queries[query]
        return row


class _Batched:
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
        result: np.ndarray = self.rows[query - self.start]
        return result


@dataclass(frozen=True, kw_only=True)
class ContextMatching:
    """Revises similarities by matching the people of the query's scene with those of a gallery scene.

    Li and Miao, SeqNet (AAAI 2021), as its published evaluator computes it: only the scenes of the k1 most
    similar detections are looked at. In each, the query and the k2 - 1 best-scored other people of its scene
    are matched one to one with all detections so that the similarities sum to the most; the detection that
    the query is matched with then gets the *largest* similarity of that matching, be it another pair's.
    Published values: k1=10, k2=3 for CUHK-SYSU, k1=30, k2=4 for PRW. overlap: IoU above which a detection in
    the query's scene is the query itself; the name stands in `results.json`.
    """

    k1: int = 10
    k2: int = 3
    overlap: float = 0.5

    def __post_init__(self) -> None:
        if self.k1 < 1 or self.k2 < 1:
            raise ValueError(f"context matching needs k1 >= 1 and k2 >= 1, not k1={self.k1}, k2={self.k2}")

    def __call__(
        self, similarities: np.ndarray, candidates: Integers, query: Query, embedding: np.ndarray, pool: Pool
    ) -> np.ndarray:
        """Similarities (N,) of all detections, revised at some of the candidates."""
        revised = similarities.copy()
        nearest = candidates[most_similar(similarities[candidates], self.k1)]
        scenes = np.unique(pool.scene[nearest])
        company = pool.unweighted(self._company(query, pool))
        for start, count in zip(pool.boxes.starts[scenes], pool.boxes.counts[scenes], strict=True):
            rows = slice(start, start + count)
            weights = np.vstack([similarities[rows], company @ pool.embeddings[rows].T])
            person, detection = linear_sum_assignment(weights, maximize=True)
            if person[0] == 0:
                revised[start + detection[0]] = weights[person, detection].max()
        return revised

    def _company(self, query: Query, pool: Pool) -> Integers:
        """Rows of the pool that hold the other people of the query's scene, best score first."""
        start = pool.boxes.starts[query.scene]
        rows = np.arange(start, start + pool.boxes.counts[query.scene])
        others = rows[iou(pool.boxes.boxes[rows], query.box) <= self.overlap]
        return others[np.argsort(-pool.scores[others], kind="stable")][: self.k2 - 1]


def most_similar(values: np.ndarray, k: int) -> Integers:
    """Indices of the k largest values, the first of equals, in no order."""
    if len(values) <= k:
        return np.arange(len(values))
    smallest = np.partition(values, len(values) - k)[len(values) - k]
    above = np.flatnonzero(values > smallest)
    return np.append(above, np.flatnonzero(values == smallest)[: k - len(above)])
