"""Search accuracy against a slow, literal reading of the protocol, and against answers anyone can see."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score

from psearch.evaluation.search import search, search_galleries
from psearch.types import UNLABELLED, Detections, Query, Scene


def scene(name: str, people: list[tuple[int, tuple[float, float, float, float]]], camera: int = 0) -> Scene:
    boxes = np.array([box for _, box in people], np.float32).reshape(-1, 4)
    ids = np.array([identity for identity, _ in people], np.int64)
    return Scene(name, 100, 100, boxes, ids, np.zeros(len(ids), bool), camera)


def found(*rows: tuple[tuple[float, float, float, float], float, tuple[float, ...]]) -> Detections:
    width = len(rows[0][2]) if rows else 2
    return Detections(
        boxes=np.array([box for box, _, _ in rows], np.float32).reshape(-1, 4),
        scores=np.array([score for _, score, _ in rows], np.float32),
        embeddings=np.array([vector for _, _, vector in rows], np.float32).reshape(-1, width),
    )


LEFT, RIGHT = (0.0, 0.0, 30.0, 60.0), (50.0, 0.0, 80.0, 60.0)
ANN, BOB, BETWEEN = (1.0, 0.0), (0.0, 1.0), (0.6, 0.8)


def street() -> tuple[list[Scene], list[Detections], Query]:
    """Ann is asked for in scene 0 and walks on the left of scene 1; Bob is on the right of 1 and in 2."""
    scenes = [
        scene("s0", [(1, LEFT)]),
        scene("s1", [(1, LEFT), (2, RIGHT)]),
        scene("s2", [(2, LEFT), (UNLABELLED, RIGHT)]),
    ]
    detections = [
        found((LEFT, 0.9, ANN)),
        found((LEFT, 0.9, ANN), (RIGHT, 0.9, BOB)),
        found((LEFT, 0.9, BETWEEN)),
    ]
    return scenes, detections, Query(0, np.array(LEFT, np.float32), 1, np.array([1, 2]))


def one(scenes, detections, query, vector=ANN, **options):
    return search(scenes, detections, [query], np.array([vector], np.float32), **options)


def test_the_person_found_first_is_a_perfect_search():
    result = one(*street())
    assert result.metrics() == {"mAP": 1.0, "top1": 1.0, "top5": 1.0, "top10": 1.0}
    assert result.ranking.scenes[0, :4].tolist() == [1, 2, 1, -1]
    assert result.ranking.detections[0, :3].tolist() == [0, 0, 1]
    assert result.ranking.correct[0, :3].tolist() == [True, False, False]


def test_a_wrong_answer_before_the_right_one_halves_the_precision():
    scenes, detections, query = street()
    result = one(scenes, detections, query, vector=(0.5, 0.8))
    assert result.ranking.scenes[0, 0] == 2
    assert result.rank[0] == 3 and result.mAP == pytest.approx(1 / 3) and result.top(1) == 0
    assert result.top(5) == 1


def test_a_person_never_detected_costs_recall():
    scenes, detections, query = street()
    detections[1] = found((RIGHT, 0.9, BOB))
    result = one(scenes, detections, query)
    assert result.mAP == 0 and result.queries_without_detection == 1


def test_without_any_detection_the_answer_is_zero_not_a_crash():
    scenes, _, query = street()
    result = one(scenes, [found()] * 3, query)
    assert result.metrics() == {"mAP": 0.0, "top1": 0.0, "top5": 0.0, "top10": 0.0}


def test_low_scores_are_not_ranked_and_half_is_high_enough():
    scenes, detections, query = street()
    detections[1] = found((LEFT, 0.5, ANN), (RIGHT, 0.49, ANN))
    result = one(scenes, detections, query)
    assert (result.ranking.scenes[0] >= 0).sum() == 2 and result.mAP == 1


def test_only_the_most_similar_of_two_overlapping_detections_is_right():
    scenes, detections, query = street()
    shifted = (1.0, 0.0, 31.0, 60.0)
    detections[1] = found((LEFT, 0.9, BETWEEN), (shifted, 0.9, ANN))
    result = one(scenes, detections, query)
    assert result.ranking.correct[0, 0] and result.ranking.detections[0, 0] == 1
    assert result.ranking.correct[0].sum() == 1


def test_a_network_that_describes_everybody_alike_finds_nobody():
    scenes, detections, query = street()
    alike = [Detections(d.boxes, d.scores, np.ones((len(d.boxes), 2), np.float32)) for d in detections]
    result = one(scenes, alike, query, vector=(1.0, 1.0))
    assert result.top(1) == 0 and result.mAP == pytest.approx(1 / 3)


def test_the_querys_own_scene_does_not_count_in_a_strict_search():
    scenes, detections, query = street()
    result = one(scenes, detections, Query(0, query.box, 1, np.array([0, 1, 2])))
    assert 0 not in result.ranking.scenes and result.positives[0] == 1


def test_a_scene_listed_twice_is_ranked_once():
    scenes, detections, query = street()
    result = one(scenes, detections, Query(0, query.box, 1, np.array([1, 2, 1])))
    assert (result.ranking.scenes[0] >= 0).sum() == 3 and result.mAP == 1


def test_a_query_without_its_person_is_skipped_and_listed():
    scenes, detections, query = street()
    queries = [query, Query(0, query.box, 1, np.array([2]))]
    result = search(scenes, detections, queries, np.array([ANN, ANN], np.float32))
    assert result.skipped == [1] and result.mAP == 1 and np.isnan(result.AP[1])
    with pytest.raises(ValueError, match="in its gallery"):
        search(scenes, detections, queries[1:], np.array([ANN], np.float32))


def test_bad_input_is_named():
    scenes, detections, query = street()
    poisoned = [detections[0], found((LEFT, 0.9, (np.nan, 0.0))), detections[2]]
    with pytest.raises(ValueError, match="scene s1: detections' embeddings hold NaN"):
        one(scenes, poisoned, query)
    with pytest.raises(ValueError, match=r"query 0 \(scene s0\): its embedding"):
        one(scenes, detections, query, vector=(np.nan, 1.0))
    with pytest.raises(ValueError, match="scene s2: .* shape"):
        one(scenes, [*detections[:2], found((LEFT, 0.9, (1.0, 0.0, 0.0)))], query)
    with pytest.raises(ValueError, match="empty gallery"):
        one(scenes, detections, Query(0, query.box, 1, np.array([], np.int64)))
    with pytest.raises(ValueError, match="lists scene 9"):
        one(scenes, detections, Query(0, query.box, 1, np.array([1, 9])))
    with pytest.raises(ValueError, match="as those of queries"):
        one(scenes, detections, query, vector=(1.0, 0.0, 0.0))
    with pytest.raises(ValueError, match="no query"):
        search(scenes, detections, [], np.zeros((0, 2), np.float32))
    with pytest.raises(ValueError, match=r"shape \(2, 2\), expected one row for each of 1"):
        search(scenes, detections, [query], np.array([ANN, BOB], np.float32))
    with pytest.raises(ValueError, match="one per scene"):
        one(scenes, detections[:2], query)


def test_several_galleries_from_one_pass_equal_one_search_each():
    scenes, detections, query = street()
    small = Query(0, query.box, 1, np.array([1]))
    both = search_galleries(
        scenes, detections, [query], np.array([(0.5, 0.8)], np.float32), {"1": [small], "2": [query]}
    )
    assert both["1"].mAP == pytest.approx(1 / 2) and both["2"].mAP == pytest.approx(1 / 3)


def overlap(a, b) -> float:
    width = max(0.0, min(a[2], b[2]) - max(a[0], b[0]))
    height = max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - width * height
    return width * height / union


def literal(scenes, detections, query, vector) -> tuple[float | None, list[bool]]:
    """The protocol's text, sentence by sentence: (AP, correctness of the ranked list), None if skipped."""
    truth: list[bool] = []
    similarities: list[float] = []
    holding = 0
    for index in dict.fromkeys(query.gallery.tolist()):
        if index == query.scene:
            continue
        people = [
            box for box, i in zip(scenes[index].boxes, scenes[index].ids, strict=True) if i == query.identity
        ]
        holding += bool(people)
        taken = False
        rows = [
            (float(np.float32(np.dot(e, vector))), box.tolist())
            for box, score, e in zip(*vars(detections[index]).values(), strict=True)
            if score >= 0.5
        ]
        for similarity, box in sorted(rows, key=lambda row: -row[0]):
            right = False
            for person in people:
                w, h = person[2] - person[0], person[3] - person[1]
                right |= overlap(box, person.tolist()) >= min(0.5, w * h / ((w + 10) * (h + 10)))
            truth.append(right and not taken)
            taken |= right
            similarities.append(similarity)
    if not holding:
        return None, []
    order = sorted(zip(similarities, truth, strict=True), key=lambda row: (-row[0], row[1]))
    ranked = [right for _, right in order]
    if not any(truth):
        return 0.0, ranked
    return float(average_precision_score(truth, similarities)) * sum(truth) / holding, ranked


@st.composite
def worlds(draw):
    """Small worlds full of ties: boxes and embeddings come from short lists, so they repeat."""
    corner = st.sampled_from([0.0, 4.0, 20.0])
    size = st.sampled_from([8.0, 10.0, 40.0])
    box = st.builds(lambda x, y, w, h: (x, y, x + w, y + h), corner, corner, size, size)
    vector = st.tuples(*[st.sampled_from([0.0, 0.25, 0.5, 1.0])] * 2)
    score = st.sampled_from([0.25, 0.5, 0.75])
    n = draw(st.integers(2, 5))
    person = st.tuples(st.sampled_from([UNLABELLED, 0, 1, 7]), box)
    scenes = [scene(f"s{i}", draw(st.lists(person, max_size=4))) for i in range(n)]
    rows = st.lists(st.tuples(box, score, vector), max_size=5)
    detections = [found(*draw(rows)) for _ in range(n)]
    gallery = st.lists(st.integers(0, n - 1), min_size=1, max_size=8)
    query = st.builds(
        lambda s, i, g: Query(s, np.zeros(4, np.float32), i, np.array(g)),
        st.integers(0, n - 1),
        st.sampled_from([0, 1, 7]),
        gallery,
    )
    queries = draw(st.lists(query, min_size=1, max_size=4))
    vectors = np.array([draw(vector) for _ in queries], np.float32)
    return scenes, detections, queries, vectors


@settings(max_examples=150, deadline=None)
@given(worlds())
def test_every_number_equals_the_literal_protocol(world):
    scenes, detections, queries, vectors = world
    expected = [literal(scenes, detections, q, v) for q, v in zip(queries, vectors, strict=True)]
    if all(AP is None for AP, _ in expected):
        with pytest.raises(ValueError, match="in its gallery"):
            search(scenes, detections, queries, vectors)
        return
    result = search(scenes, detections, queries, vectors, keep_top=40)
    for index, (AP, ranked) in enumerate(expected):
        if AP is None:
            assert index in result.skipped
            continue
        assert result.AP[index] == pytest.approx(AP, abs=1e-12)
        assert result.rank[index] == (ranked.index(True) + 1 if any(ranked) else 0)
        assert result.ranking.correct[index, : len(ranked)].tolist() == ranked
    counted = [AP for AP, _ in expected if AP is not None]
    assert result.mAP == pytest.approx(np.mean(counted), abs=1e-12)
