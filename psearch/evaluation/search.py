"""Person-search accuracy: mAP and top-k of queries over the detections of whole scenes.

Protocol (Xiao et al. 2017, public evaluators of CUHK-SYSU and PRW): the detections of all gallery scenes of a
query form one list, ranked by the dot product of embeddings. In a scene that holds the person, the most
similar detection that overlaps it enough (`matches.smallest_overlap`) is right, all others are wrong. AP is
the step-wise area under precision over recall, recall counting scenes where the person was missed. `Protocol`
says what different evaluators decide differently.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from tqdm import tqdm

from psearch.evaluation.matches import Sightings, find_sightings
from psearch.evaluation.overlap import Flags, Floats, Integers
from psearch.evaluation.pool import Pool, check_queries, pool_detections
from psearch.evaluation.protocols import STRICT, Protocol
from psearch.evaluation.ranking import Ranked, rank_gallery
from psearch.types import Detections, Query, Scene

CHUNK = 2**24
"""Similarities held at once: 64 MiB of float32."""


@dataclass(frozen=True, eq=False)
class Ranking:
    """The first k answers of each of Q queries, arrays (Q, k), most similar first; scene -1 where a gallery
    has fewer. detection: index among the scene's `Detections`. correct: the one right answer of its scene."""

    scenes: Integers
    detections: Integers
    similarities: np.ndarray
    correct: Flags


@dataclass(frozen=True, eq=False)
class SearchResult:
    """What a search found, query by query.

    AP: (Q,), NaN for skipped queries. rank: (Q,) place of the first right answer, from 1; 0 for none.
    found, positives: (Q,) scenes where the person was detected, and scenes of the gallery that hold it.
    skipped: queries whose gallery does not hold the person; they count nowhere.
    """

    AP: Floats
    rank: Integers
    found: Integers
    positives: Integers
    ranking: Ranking

    @property
    def skipped(self) -> list[int]:
        """Indices of the queries nobody could answer."""
        return np.flatnonzero(self.positives == 0).tolist()

    @property
    def queries_without_detection(self) -> int:
        """Queries whose person no detection covers in any scene of the gallery; they count with AP 0."""
        return int(((self.found == 0) & (self.positives > 0)).sum())

    @property
    def mAP(self) -> float:
        """Mean AP over the queries that are not skipped."""
        return float(self.AP[self.positives > 0].mean())

    def hits(self, k: int) -> Flags:
        """(Q,) whether a right answer is among the first k."""
        return (self.rank > 0) & (self.rank <= k)

    def top(self, k: int) -> float:
        """Fraction of the queries with a right answer among the first k."""
        return float(self.hits(k)[self.positives > 0].mean())

    def metrics(self) -> dict[str, float]:
        """mAP, top1, top5 and top10 in 0…1."""
        return {"mAP": self.mAP, "top1": self.top(1), "top5": self.top(5), "top10": self.top(10)}


def search(
    scenes: Sequence[Scene],
    detections: Sequence[Detections],
    queries: Sequence[Query],
    embeddings: np.ndarray,
    *,
    protocol: Protocol = STRICT,
    keep: int = 20,
    device: torch.device | str = "cpu",
) -> SearchResult:
    """Search every query, embeddings (Q, d), in its own gallery.

    detections: one per scene, original pixels, unit-length embeddings. keep: answers kept for drawing.
    Raises ValueError that names scene or query for NaN, for shapes that do not fit and for empty galleries.
    """
    return search_galleries(
        scenes, detections, {"": queries}, embeddings, protocol=protocol, keep=keep, device=device
    )[""]


def search_galleries(
    scenes: Sequence[Scene],
    detections: Sequence[Detections],
    galleries: Mapping[str, Sequence[Query]],
    embeddings: np.ndarray,
    *,
    protocol: Protocol = STRICT,
    keep: int = 20,
    device: torch.device | str = "cpu",
) -> dict[str, SearchResult]:
    """The same searches in several galleries (name -> queries, all in the same order) from one pass."""
    for queries in galleries.values():
        check_queries(scenes, queries, embeddings)
    pool = pool_detections(scenes, detections, score=protocol.score, width=embeddings.shape[1])
    identities = {query.identity for queries in galleries.values() for query in queries}
    sightings = find_sightings(scenes, pool, identities, first_box_only=protocol.first_box_only)
    cameras = np.array([scene.camera for scene in scenes])
    answers: dict[str, list[tuple[Ranked, int]]] = {name: [] for name in galleries}
    for index, row in enumerate(_similarities(pool.embeddings, embeddings, device)):
        for name, queries in galleries.items():
            query = queries[index]
            listed = _listed(query, cameras, protocol)
            answers[name].append(_answer(row, listed, sightings.get(query.identity), pool, protocol, keep))
    return {name: _collect(ranked, pool, keep) for name, ranked in answers.items()}


def _similarities(
    detections: np.ndarray, queries: np.ndarray, device: torch.device | str
) -> Iterator[np.ndarray]:
    """Dot products of each query (d,) with all detections (N, d), a row at a time, computed in chunks."""
    right = torch.from_numpy(detections).to(device).T
    step = max(1, CHUNK // max(1, len(detections)))
    for start in tqdm(range(0, len(queries), step), desc="search", unit="chunk", disable=None):
        left = torch.from_numpy(queries[start : start + step]).to(device, right.dtype)
        yield from (left @ right).cpu().numpy()


def _listed(query: Query, cameras: Integers, protocol: Protocol) -> Integers:
    """(S,) how often each scene counts in the query's gallery."""
    listed = np.bincount(query.gallery, minlength=len(cameras))
    if not protocol.own_scene:
        listed[query.scene] = 0
    if protocol.other_cameras:
        listed[cameras == cameras[query.scene]] = 0
    return listed if protocol.count_repeats else np.minimum(listed, 1)


def _answer(
    row: np.ndarray, listed: Integers, seen: Sightings | None, pool: Pool, protocol: Protocol, keep: int
) -> tuple[Ranked, int]:
    """The ranked gallery of one query and the number of right answers to find in it."""
    inside = listed > 0
    candidates = np.flatnonzero(inside[pool.scene])
    if seen is None:
        nothing = np.zeros(0, np.int64)
        return rank_gallery(row, candidates, nothing, nothing, 0, keep=keep), 0
    mask = inside[seen.hit_scenes]
    total = int(listed[seen.scenes].sum())
    return rank_gallery(row, candidates, seen.hits[mask], seen.hit_scenes[mask], total, keep=keep), total


def _collect(answers: Sequence[tuple[Ranked, int]], pool: Pool, keep: int) -> SearchResult:
    positives = np.array([total for _, total in answers])
    if not positives.any():
        raise ValueError(
            "no query's person is in its gallery: check identities, galleries and the protocol's cameras"
        )
    best = np.full((len(answers), keep), -1)
    similarities = np.zeros((len(answers), keep), np.float32)
    correct = np.zeros((len(answers), keep), dtype=bool)
    for index, (ranked, _) in enumerate(answers):
        best[index, : len(ranked.best)] = ranked.best
        similarities[index, : len(ranked.best)] = ranked.similarities
        correct[index, : len(ranked.best)] = ranked.correct
    scene, detection = np.append(pool.scene, -1), np.append(pool.detection, -1)
    return SearchResult(
        AP=np.where(positives > 0, [ranked.AP for ranked, _ in answers], np.nan),
        rank=np.array([ranked.rank for ranked, _ in answers]),
        found=np.array([ranked.found for ranked, _ in answers]),
        positives=positives,
        ranking=Ranking(scene[best], detection[best], similarities, correct),
    )
