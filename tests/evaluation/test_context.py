"""Context matching against trying every assignment."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from psearch.evaluation.pool import pool_detections
from psearch.evaluation.search import search, search_galleries
from psearch.evaluation.similarities import ContextMatching, most_similar
from psearch.types import Detections, Query, Scene

PLACES = np.array([[20.0 * i, 0, 20.0 * i + 15, 40] for i in range(4)], np.float32)


def scene(name: str, ids: list[int]) -> Scene:
    return Scene(name, 50, 100, PLACES[: len(ids)], np.array(ids), np.zeros(len(ids), bool))


def found(*vectors) -> Detections:
    n = len(vectors)
    scores = np.linspace(0.9, 0.6, n).astype(np.float32)
    return Detections(PLACES[:n], scores, np.array(vectors, np.float32).reshape(n, -1))


def test_company_tells_two_lookalikes_apart():
    """Ann walks with Bob. A stranger looks a little more like her, but is alone with someone else."""
    ann, bob, other = (0.9, 0.1, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)
    scenes = [scene("s0", [1, 2]), scene("s1", [1, 2]), scene("s2", [3, 4])]
    detections = [found(ann, bob), found((0.8, 0, 0), bob), found((0.85, 0, 0), other)]
    query = Query(0, PLACES[0], 1, np.array([1, 2]))
    vector = np.array([ann], np.float32)
    assert search(scenes, detections, [query], vector).top(1) == 0
    assert search(scenes, detections, [query], vector, rerank=ContextMatching(k1=2, k2=2)).top(1) == 1


def literal(similarities, scenes_of, embeddings, company, *, k1):
    """Every assignment of people to a scene's detections; the best one's largest similarity counts."""
    revised = similarities.copy()
    nearest = sorted(range(len(similarities)), key=lambda i: -similarities[i])[:k1]
    for place in {scenes_of[i] for i in nearest}:
        rows = [i for i, s in enumerate(scenes_of) if s == place]
        weights = np.vstack([similarities[rows], company @ embeddings[rows].T])
        people, size = range(len(weights)), min(weights.shape)
        best = max(
            (
                list(zip(who, where, strict=True))
                for who in permutations(people, size)
                for where in permutations(range(len(rows)), size)
            ),
            key=lambda pairs: sum(weights[p, d] for p, d in pairs),
        )
        for person, detection in best:
            if person == 0:
                revised[rows[detection]] = max(weights[p, d] for p, d in best)
    return revised


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 3), st.integers(1, 6))
def test_it_equals_trying_every_assignment(seed, k2, k1):
    random = np.random.default_rng(seed)
    counts = random.integers(1, 4, size=4)
    detections = [found(*random.normal(size=(count, 5))) for count in counts]
    scenes = [scene(f"s{i}", [0] * count) for i, count in enumerate(counts)]
    query = Query(0, PLACES[0], 0, np.array([1, 2, 3]))
    vector = random.normal(size=5).astype(np.float32)
    pool = pool_detections(scenes, detections, score_threshold=0.5, width=5)
    candidates = np.flatnonzero(pool.scene > 0)
    similarities = pool.embeddings @ vector
    revised = ContextMatching(k1=k1, k2=k2)(similarities, candidates, query, vector, pool)
    company = detections[0].embeddings[1:][: k2 - 1]
    expected = literal(
        similarities[candidates],
        pool.scene[candidates].tolist(),
        pool.embeddings[candidates],
        company.reshape(-1, 5),
        k1=k1,
    )
    np.testing.assert_allclose(revised[candidates], expected, rtol=1e-5)
    assert revised[0] == similarities[0]


def test_the_query_is_not_its_own_company():
    scenes = [scene("s0", [1]), scene("s1", [1])]
    detections = [found((1.0, 0.0)), found((0.5, 0.0))]
    pool = pool_detections(scenes, detections, score_threshold=0.5, width=2)
    query = Query(0, PLACES[0] + 1, 1, np.array([1]))
    vector = np.array([0.5, 0.0], np.float32)
    similarities = pool.embeddings @ vector
    np.testing.assert_array_equal(
        ContextMatching()(similarities, np.array([1]), query, vector, pool), similarities
    )


def test_most_similar_takes_the_first_of_equals():
    assert sorted(most_similar(np.array([1.0, 3.0, 2.0, 2.0, 2.0]), 3)) == [1, 2, 3]
    assert sorted(most_similar(np.array([1.0, 2.0]), 5)) == [0, 1]


def test_impossible_sizes_are_refused():
    with pytest.raises(ValueError, match="k1 >= 1"):
        ContextMatching(k1=0)


def test_confidence_weighs_the_gallery_and_not_the_querys_company():
    """CWS: a lookalike that is hardly taken for a person comes after one that surely is one."""
    ann, bob = (1.0, 0.0), (0.0, 1.0)
    scenes = [scene("s0", [1, 2]), scene("s1", [1]), scene("s2", [3])]
    doubtful = Detections(PLACES[:1], np.array([0.5], np.float32), np.array([[0.9, 0.0]], np.float32))
    detections = [found(ann, bob), found((0.8, 0.0)), doubtful]
    query, vectors = Query(0, PLACES[0], 1, np.array([1, 2])), np.array([ann], np.float32)
    plain, weighted = (
        search_galleries(scenes, detections, [query], vectors, {"own": [query]}, confidence_weighted=weighs)[
            "own"
        ]
        for weighs in (False, True)
    )
    assert plain.top(1) == 0 and weighted.top(1) == 1
    pool = pool_detections(scenes, detections, score_threshold=0.5, width=2, weighted=True)
    np.testing.assert_allclose(pool.embeddings[-1], [0.45, 0.0])
    np.testing.assert_allclose(pool.unweighted(np.array([0, 1, 3])), [ann, bob, (0.9, 0.0)], rtol=1e-6)
