"""What a search found, query by query, and the numbers drawn from it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np

from psearch.evaluation.boxes import Flags, Floats, Integers
from psearch.evaluation.pool import Pool
from psearch.evaluation.ranking import Ranked
from psearch.files import read_arrays, write_arrays
from psearch.types import Detections


@dataclass(frozen=True, eq=False)
class Ranking:
    """The first k answers of each of Q queries, arrays (Q, k), most similar first; scene -1 where a gallery
    has fewer. detections: index among the scene's `Detections`. correct: the right answer of its scene.
    boxes: (Q, k, 4), original pixels."""

    scenes: Integers
    detections: Integers
    similarities: np.ndarray
    correct: Flags
    boxes: np.ndarray


@dataclass(frozen=True, eq=False)
class SearchResult:
    """Outcome of Q searches.

    AP: (Q,), NaN for skipped queries. rank: (Q,) place of the first right answer, from 1; 0 for none.
    found, positives: (Q,) scenes where the person was detected, and scenes of the gallery that hold it.
    """

    AP: Floats
    rank: Integers
    found: Integers
    positives: Integers
    ranking: Ranking

    @property
    def counted(self) -> Flags:
        """(Q,) the queries whose gallery holds the person; the others count nowhere."""
        return self.positives > 0

    @property
    def skipped(self) -> list[int]:
        """Indices of the queries nobody could answer."""
        return [int(index) for index in np.flatnonzero(~self.counted)]

    @property
    def queries_without_detection(self) -> int:
        """Queries whose person no detection covers in any scene of the gallery; they count with AP 0."""
        return int(((self.found == 0) & self.counted).sum())

    @property
    def mAP(self) -> float:
        """Mean AP."""
        return float(self.AP[self.counted].mean())

    def hits(self, k: int) -> Flags:
        """(Q,) whether a right answer is among the first k."""
        return (self.rank > 0) & (self.rank <= k)

    def top(self, k: int) -> float:
        """Fraction of the queries with a right answer among the first k."""
        return float(self.hits(k)[self.counted].mean())

    def metrics(self) -> dict[str, float]:
        """mAP, top1, top5 and top10 in 0…1."""
        return {"mAP": self.mAP, "top1": self.top(1), "top5": self.top(5), "top10": self.top(10)}


def collect(answers: Sequence[Ranked], pool: Pool, keep_top: int) -> SearchResult:
    """The ranked galleries of all queries as arrays; ValueError if none of them could be answered."""
    positives = np.array([ranked.total for ranked in answers])
    if not positives.any():
        raise ValueError(
            "no query's person is in its gallery: check identities, galleries and the protocol's cameras"
        )
    best = np.full((len(answers), keep_top), -1)
    similarities = np.zeros((len(answers), keep_top), np.float32)
    correct = np.zeros((len(answers), keep_top), dtype=bool)
    for index, ranked in enumerate(answers):
        best[index, : len(ranked.best)] = ranked.best
        similarities[index, : len(ranked.best)] = ranked.similarities
        correct[index, : len(ranked.best)] = ranked.correct
    scene, detection = np.append(pool.scene, -1), np.append(pool.detection, -1)
    boxes = np.concatenate([pool.boxes.boxes, np.zeros((1, 4), np.float32)])
    return SearchResult(
        AP=np.where(positives > 0, [ranked.AP for ranked in answers], np.nan),
        rank=np.array([ranked.rank for ranked in answers]),
        found=np.array([ranked.found for ranked in answers]),
        positives=positives,
        ranking=Ranking(scene[best], detection[best], similarities, correct, boxes[best]),
    )


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


RANKING = "ranking.npz"
"""What the file is called in a run directory."""

NAMES = tuple(field.name for field in fields(Ranking))


def write_ranking(path: Path, ranking: Ranking) -> None:
    """Save the first answers of all queries."""
    write_arrays(path, {name: getattr(ranking, name) for name in NAMES})


def read_ranking(path: Path, *, scenes: int, queries: int) -> Ranking:
    """The first answers of all queries; ValueError for a file that is missing, damaged or of other data."""
    arrays = read_arrays(path, NAMES)
    shape = (queries, arrays["scenes"].shape[-1])
    whole = all(values.shape[:2] == shape for values in arrays.values())
    if not whole or arrays["boxes"].shape != (*shape, 4) or arrays["scenes"].max(initial=-1) >= scenes:
        raise ValueError(f"{path}: not of {queries} queries and {scenes} scenes")
    return Ranking(**arrays)
