"""Galleries of other sizes and subsets of queries, all from one pass."""

from __future__ import annotations

import numpy as np
import pytest

from psearch.evaluation import similarities as room
from psearch.evaluation.protocols import cut, rows_among, whole
from psearch.evaluation.search import search, search_galleries
from psearch.evaluation.similarities import similarities
from psearch.types import Detections, Query, Scene


def crowd(scenes: int = 12, people: int = 4, seed: int = 0):
    """Scenes with some of the people in fixed places, each detected with a noisy embedding."""
    random = np.random.default_rng(seed)
    looks = random.normal(size=(people, 8))
    places = np.array([[20.0 * i, 0, 20.0 * i + 15, 40] for i in range(people)], np.float32)
    made, found = [], []
    for index in range(scenes):
        ids = np.flatnonzero(random.random(people) < 0.5)
        made.append(Scene(f"s{index}", 50, 100, places[ids], ids, np.zeros(len(ids), bool)))
        vectors = (looks[ids] + random.normal(size=(len(ids), 8))).astype(np.float32)
        found.append(Detections(places[ids], np.ones(len(ids), np.float32), vectors))
    queries = [
        Query(index, scene.boxes[0], int(scene.ids[0]), np.setdiff1d(np.arange(scenes), index))
        for index, scene in enumerate(made)
        if len(scene.ids)
    ]
    embeddings = np.stack([found[query.scene].embeddings[0] for query in queries])
    return made, found, queries, embeddings


def test_cut_keeps_everyone_who_is_wanted_and_then_protocol_order():
    made = [Scene(f"s{i}", 9, 9, np.zeros((1, 4)), np.array([i % 3]), np.zeros(1, bool)) for i in range(7)]
    query = Query(0, np.zeros(4), 0, np.array([5, 4, 3, 2, 6, 1]))
    assert cut(made, [query], 3)[0].gallery.tolist() == [3, 6, 5]
    with pytest.raises(ValueError, match="cut to 1 scenes: the smallest has 6, .* is in 2 of them"):
        cut(made, [query], 1)
    with pytest.raises(ValueError, match="cut to 8"):
        cut(made, [query], 8)


def test_the_whole_gallery_adds_every_scene_but_the_querys_own_once():
    made = [Scene(f"s{i}", 9, 9, np.zeros((1, 4)), np.array([i]), np.zeros(1, bool)) for i in range(5)]
    assert whole(made, [Query(2, np.zeros(4), 0, np.array([3, 0]))])[0].gallery.tolist() == [3, 0, 1, 4]


def test_many_galleries_and_subsets_at_once_equal_one_search_each():
    made, found, queries, embeddings = crowd()
    some = [4, 1]
    galleries = {
        "all": queries,
        "small": [Query(q.scene, q.box, q.identity, q.gallery[::2]) for q in queries],
        "some": [queries[row] for row in some],
    }
    together = search_galleries(made, found, queries, embeddings, galleries)
    for name, wanted in galleries.items():
        rows = some if name == "some" else range(len(queries))
        alone = search(made, found, wanted, embeddings[list(rows)])
        np.testing.assert_array_equal(together[name].AP, alone.AP)
        np.testing.assert_array_equal(together[name].ranking.scenes, alone.ranking.scenes)
    assert together["small"].mAP != together["all"].mAP


def test_a_query_that_nobody_described_is_refused():
    made, _, queries, _ = crowd()
    moved = Query(queries[0].scene, queries[0].box + 1, queries[0].identity, queries[0].gallery)
    with pytest.raises(ValueError, match="query 0 of a further gallery .* is not among"):
        rows_among(queries, [moved])


def test_the_same_query_asked_twice_keeps_both_embeddings():
    _, _, queries, _ = crowd()
    assert rows_among([queries[0], queries[1], queries[0]], [queries[0], queries[0], queries[1]]) == [0, 2, 1]


@pytest.mark.parametrize("share", [0.01, 1.0])
def test_similarities_do_not_depend_on_the_way_they_are_computed(share, monkeypatch):
    monkeypatch.setattr(room, "CHUNK", 20)
    random = np.random.default_rng(0)
    detections, queries = (random.normal(size=(n, 4)).astype(np.float32) for n in (7, 5))
    similar = similarities(detections, queries, share=share, device="cpu")
    candidates = np.array([0, 3, 6])
    for row in (0, 0, 1, 3, 4):
        np.testing.assert_allclose(
            similar(row, candidates)[candidates], detections[candidates] @ queries[row], rtol=1e-5
        )
