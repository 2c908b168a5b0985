"""Person-search accuracy where every query finds its own boxes: the rules of `search`, one pool per query."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from psearch.evaluation.matches import find_sightings
from psearch.evaluation.pairs import Finds
from psearch.evaluation.pool import Pool, check_galleries, pool_detections
from psearch.evaluation.protocols import Protocol
from psearch.evaluation.ranking import Ranked
from psearch.evaluation.result import SearchResult, collect
from psearch.evaluation.search import answer, listed_scenes, schedule
from psearch.evaluation.stacked import Stacked
from psearch.types import Detections, Query, Scene

NOTHING = Detections(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros((0, 1), np.float32))


def search_finds(
    scenes: Sequence[Scene],
    finds: Finds,
    queries: Sequence[Query],
    galleries: Mapping[str, Sequence[Query]],
    *,
    protocol: Protocol,
    keep: int = 20,
) -> dict[str, SearchResult]:
    """As `search_galleries`, with what was found for each of the queries in each scene, ranked by its
    similarity; ValueError as there."""
    for wanted in galleries.values():
        check_galleries(scenes, wanted)
    cameras = np.array([scene.camera for scene in scenes])
    answers: dict[str, dict[int, tuple[Ranked, Pool]]] = {name: {} for name in galleries}
    for row, name, index in schedule(queries, galleries):
        query = galleries[name][index]
        own = [finds[row].get(scene, NOTHING) for scene in range(len(scenes))]
        pool = pool_detections(scenes, own, score=protocol.score, width=1)
        seen = find_sightings(scenes, pool, {query.identity}, first_box_only=protocol.first_box_only)
        listed = listed_scenes(query, cameras, protocol)
        candidates = np.flatnonzero((listed > 0)[pool.scene])
        values = pool.embeddings[:, 0]
        answers[name][index] = answer(values, candidates, listed, seen.get(query.identity), keep), pool
    return {name: _collected([said[i] for i in range(len(said))], keep) for name, said in answers.items()}


def _collected(answers: Sequence[tuple[Ranked, Pool]], keep: int) -> SearchResult:
    """All pools one after the other, and the answers' rows counted along them."""
    pools = [pool for _, pool in answers]
    starts = np.cumsum([0, *(len(pool.scores) for pool in pools)])
    ranked = [replace(said, best=said.best + at) for (said, _), at in zip(answers, starts, strict=False)]
    boxes = Stacked(np.concatenate([pool.boxes.boxes for pool in pools]), np.diff(starts))
    parts = ("scores", "embeddings", "scene", "detection")
    joined = Pool(boxes, *(np.concatenate([getattr(pool, part) for pool in pools]) for part in parts))
    return collect(ranked, joined, keep)
