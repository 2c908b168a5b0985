"""Person-search accuracy: mAP and top-k of queries over the detections of whole scenes.

Protocol (Xiao et al. 2017, public evaluators of CUHK-SYSU and PRW): the detections of all gallery scenes of a
query form one list, ranked by the dot product of embeddings. In a scene that holds the person, the most
similar detection that overlaps it enough (`ranking.smallest_iou`) is right, all others are wrong. AP is
the step-wise area under precision over recall, recall counting scenes where the person was missed.
`protocols` says what different evaluators decide differently.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np
import torch
from tqdm import tqdm

from psearch.evaluation.boxes import Integers, RaggedBoxes
from psearch.evaluation.pairwise_inference import PairDetections
from psearch.evaluation.pool import Pool, check_galleries, check_queries, pool_detections
from psearch.evaluation.protocols import STRICT, Protocol, rows_among
from psearch.evaluation.ranking import Ranked, Sightings, find_sightings, rank_gallery
from psearch.evaluation.result import SearchResult, collect
from psearch.evaluation.similarities import similarities
from psearch.types import Detections, Query, Scene

Rerank = Callable[[np.ndarray, Integers, Query, np.ndarray, Pool], np.ndarray]
"""(similarities (N,), candidates, query, its embedding (d,), pool) -> similarities (N,), revised."""


def search(
    scenes: Sequence[Scene],
    detections: Sequence[Detections],
    queries: Sequence[Query],
    embeddings: np.ndarray,
    *,
    protocol: Protocol = STRICT,
    rerank: Rerank | None = None,
    keep_top: int = 20,
    device: torch.device | str = "cpu",
) -> SearchResult:
    """Search every query, embeddings (Q, d), in its own gallery.

    detections: one per scene, original pixels, unit-length embeddings. rerank: see `ContextMatching`.
    keep_top: ranked detections kept per query. device: where similarities are computed.
    Raises ValueError that names scene or query for NaN, for shapes that do not fit and for empty galleries.
    """
    name = "own"
    results = search_galleries(
        scenes,
        detections,
        queries,
        embeddings,
        {name: queries},
        protocol=protocol,
        rerank=rerank,
        keep_top=keep_top,
        device=device,
    )
    return results[name]


def search_galleries(
    scenes: Sequence[Scene],
    detections: Sequence[Detections],
    queries: Sequence[Query],
    embeddings: np.ndarray,
    galleries: Mapping[str, Sequence[Query]],
    *,
    protocol: Protocol = STRICT,
    rerank: Rerank | None = None,
    confidence_weighted: bool = False,
    keep_top: int = 20,
    device: torch.device | str = "cpu",
) -> dict[str, SearchResult]:
    """Search in several galleries at once: name -> queries, each one of `queries` with a gallery of its own.

    Similarities are computed once. A name may hold some of the queries only (a subset of the benchmark); its
    result is in its own order.
    """
    check_queries(scenes, queries, embeddings)
    for wanted in galleries.values():
        check_galleries(scenes, wanted)
    pool = pool_detections(
        scenes,
        detections,
        score_threshold=protocol.score_threshold,
        width=embeddings.shape[1],
        weighted=confidence_weighted,
    )
    identities = {query.identity for query in queries}
    sightings = find_sightings(scenes, pool, identities, first_box_only=protocol.first_box_only)
    cameras = np.array([scene.camera for scene in scenes])
    similar = similarities(pool.embeddings, embeddings, share=_share(galleries, len(scenes)), device=device)
    answers: dict[str, dict[int, Ranked]] = {name: {} for name in galleries}
    for row, name, index in tqdm(schedule(queries, galleries), desc="search", unit="query", disable=None):
        query = galleries[name][index]
        listed = listed_scenes(query, cameras, protocol)
        candidates = np.flatnonzero((listed > 0)[pool.scene])
        values = similar(row, candidates)
        if rerank is not None:
            values = rerank(values, candidates, query, embeddings[row], pool)
        answers[name][index] = answer(values, candidates, listed, sightings.get(query.identity), keep_top)
    return {
        name: collect([ranked[index] for index in range(len(ranked))], pool, keep_top)
        for name, ranked in answers.items()
    }


def schedule(
    queries: Sequence[Query], galleries: Mapping[str, Sequence[Query]]
) -> list[tuple[int, str, int]]:
    """All (row of the embedding, name of the gallery, index in it), in the order of rows."""
    searches = [
        (row, name, index)
        for name, wanted in galleries.items()
        for index, row in enumerate(rows_among(queries, wanted))
    ]
    return sorted(searches, key=lambda search: search[0])


def _share(galleries: Mapping[str, Sequence[Query]], scenes: int) -> float:
    """How large a part of the scenes the galleries of a query are on average, all names together."""
    largest = max(len(wanted) for wanted in galleries.values())
    return sum(len(query.gallery) for wanted in galleries.values() for query in wanted) / largest / scenes


def listed_scenes(query: Query, cameras: Integers, protocol: Protocol) -> Integers:
    """(S,) how often each scene counts in the query's gallery."""
    listed = np.bincount(query.gallery, minlength=len(cameras))
    if not protocol.own_scene:
        listed[query.scene] = 0
    if protocol.other_cameras:
        listed[cameras == cameras[query.scene]] = 0
    return listed if protocol.count_repeats else np.minimum(listed, 1)


def gallery_size(scenes: Sequence[Scene], queries: Sequence[Query], protocol: Protocol) -> int:
    """Scenes that a query is searched in under a protocol, of the query with the most."""
    cameras = np.array([scene.camera for scene in scenes])
    return max(int((listed_scenes(query, cameras, protocol) > 0).sum()) for query in queries)


def answer(
    values: np.ndarray, candidates: Integers, listed: Integers, seen: Sightings | None, keep_top: int
) -> Ranked:
    """One query's candidates ranked; listed: see `listed_scenes`; seen: where its person is, if anywhere."""
    if seen is None:
        nothing = np.zeros(0, np.int64)
        return rank_gallery(values, candidates, nothing, nothing, 0, keep_top=keep_top)
    inside = listed[seen.hit_scenes] > 0
    total = int(listed[seen.scenes].sum())
    return rank_gallery(
        values, candidates, seen.hits[inside], seen.hit_scenes[inside], total, keep_top=keep_top
    )


NOTHING = Detections(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros((0, 1), np.float32))


def search_per_query(
    scenes: Sequence[Scene],
    pair_detections: PairDetections,
    queries: Sequence[Query],
    galleries: Mapping[str, Sequence[Query]],
    *,
    protocol: Protocol,
    keep_top: int = 20,
) -> dict[str, SearchResult]:
    """As `search_galleries`, with detections that differ from query to query, ranked by their similarity;
    ValueError as there."""
    for wanted in galleries.values():
        check_galleries(scenes, wanted)
    cameras = np.array([scene.camera for scene in scenes])
    answers: dict[str, dict[int, tuple[Ranked, Pool]]] = {name: {} for name in galleries}
    for row, name, index in schedule(queries, galleries):
        query = galleries[name][index]
        detections = [pair_detections[row].get(scene, NOTHING) for scene in range(len(scenes))]
        pool = pool_detections(scenes, detections, score_threshold=protocol.score_threshold, width=1)
        seen = find_sightings(scenes, pool, {query.identity}, first_box_only=protocol.first_box_only)
        listed = listed_scenes(query, cameras, protocol)
        candidates = np.flatnonzero((listed > 0)[pool.scene])
        values = pool.embeddings[:, 0]
        answers[name][index] = answer(values, candidates, listed, seen.get(query.identity), keep_top), pool
    return {name: _collected([of[i] for i in range(len(of))], keep_top) for name, of in answers.items()}


def _collected(answers: Sequence[tuple[Ranked, Pool]], keep_top: int) -> SearchResult:
    """All pools one after the other, and the ranked rows counted along them."""
    pools = [pool for _, pool in answers]
    starts = np.cumsum([0, *(len(pool.scores) for pool in pools)])
    ranked = [replace(one, best=one.best + start) for (one, _), start in zip(answers, starts, strict=False)]
    boxes = RaggedBoxes(np.concatenate([pool.boxes.boxes for pool in pools]), np.diff(starts))
    parts = ("scores", "embeddings", "scene", "detection")
    rows = {part: np.concatenate([getattr(pool, part) for pool in pools]) for part in parts}
    joined = Pool(boxes, **rows, weighted=any(pool.weighted for pool in pools))
    return collect(ranked, joined, keep_top)
