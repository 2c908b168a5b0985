"""Where published evaluators and the protocol's text part: each case by hand, and all of them literally."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score

from psearch.evaluation.protocols import LEGACY, OTHER_CAMERAS, STRICT, named
from psearch.evaluation.search import search
from psearch.types import Detections, Query, Scene

LEFT, RIGHT = (0.0, 0.0, 30.0, 60.0), (50.0, 0.0, 80.0, 60.0)
ANN, BOB, NEAR_ANN = (1.0, 0.0), (0.0, 1.0), (0.8, 0.6)


def scene(name, *people, camera=0):
    boxes = np.array([box for _, box in people], np.float32).reshape(-1, 4)
    ids = np.array([identity for identity, _ in people], np.int64)
    return Scene(name, 100, 100, boxes, ids, np.zeros(len(ids), bool), camera)


def found(*rows):
    return Detections(
        np.array([box for box, _ in rows], np.float32).reshape(-1, 4),
        np.ones(len(rows), np.float32),
        np.array([vector for _, vector in rows], np.float32).reshape(-1, 2),
    )


def AP(scenes, detections, gallery, protocol):
    query = Query(0, np.array(LEFT, np.float32), 1, np.array(gallery))
    return search(scenes, detections, [query], np.array([ANN], np.float32), protocol=protocol).mAP


def test_a_scene_listed_twice_caps_the_legacy_AP():
    scenes = [scene("s0", (1, LEFT)), scene("s1", (1, LEFT)), scene("s2", (2, LEFT))]
    detections = [found((LEFT, ANN)), found((LEFT, ANN)), found((LEFT, BOB))]
    assert AP(scenes, detections, [1, 1, 2], STRICT) == 1.0
    assert AP(scenes, detections, [1, 1, 2], LEGACY) == 0.5


def test_the_querys_own_scene_is_an_easy_find_only_for_legacy():
    scenes = [scene("s0", (1, LEFT)), scene("s1", (1, LEFT)), scene("s2", (2, LEFT))]
    detections = [found((LEFT, ANN)), found((LEFT, NEAR_ANN)), found((LEFT, (0.9, 0.4)))]
    assert AP(scenes, detections, [0, 1, 2], STRICT) == 0.5
    assert AP(scenes, detections, [0, 1, 2], LEGACY) == pytest.approx((1 + 2 / 3) / 2)


def test_a_person_boxed_twice_is_right_at_either_box_only_for_strict():
    scenes = [scene("s0", (1, LEFT)), scene("s1", (1, LEFT), (1, RIGHT))]
    detections = [found((LEFT, ANN)), found((LEFT, NEAR_ANN), (RIGHT, ANN))]
    assert AP(scenes, detections, [1], STRICT) == 1.0
    assert AP(scenes, detections, [1], LEGACY) == 0.5


def test_other_cameras_leave_out_the_querys_own():
    scenes = [scene("s0", (1, LEFT)), scene("s1", (1, LEFT)), scene("s2", (1, LEFT), camera=2)]
    detections = [found((LEFT, ANN)), found((LEFT, ANN)), found((RIGHT, ANN), (LEFT, NEAR_ANN))]
    assert AP(scenes, detections, [1, 2], STRICT) == pytest.approx((1 / 2 + 2 / 3) / 2)
    assert AP(scenes, detections, [1, 2], OTHER_CAMERAS) == 0.5


def test_names():
    assert named("legacy") is LEGACY and named("strict") is STRICT
    with pytest.raises(ValueError, match="choose one of legacy, other_cameras, strict"):
        named("lenient")


def overlap(a, b):
    width = max(0.0, min(a[2], b[2]) - max(a[0], b[0]))
    height = max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - width * height
    return width * height / union


def published(scenes, detections, query, vector):
    """AP as the published evaluators go about it, scene by scene; None where they would divide by zero."""
    truth, scores, ranked, counted, hits = [], [], set(), 0, 0
    for index in query.gallery.tolist():
        boxes = scenes[index].boxes[scenes[index].ids == query.identity]
        counted += len(boxes) > 0
        if index in ranked or not len(detections[index].boxes):
            continue
        ranked.add(index)
        similarity = np.array([np.dot(row, vector) for row in detections[index].embeddings])
        labels = np.zeros(len(similarity), int)
        if len(boxes):
            x1, y1, x2, y2 = boxes[0].tolist()
            width, height = x2 - x1, y2 - y1
            enough = min(0.5, width * height / ((width + 10) * (height + 10)))
            for place in np.argsort(-similarity, kind="stable"):
                if overlap(detections[index].boxes[place].tolist(), (x1, y1, x2, y2)) >= enough:
                    labels[place] = 1
                    hits += 1
                    break
        truth.extend(labels)
        scores.extend(similarity)
    if not counted:
        return None
    return float(average_precision_score(truth, scores)) * hits / counted if hits else 0.0


@st.composite
def worlds(draw):
    boxes = st.sampled_from([LEFT, RIGHT, (2.0, 0.0, 30.0, 60.0), (10.0, 0.0, 18.0, 8.0)])
    vector = st.tuples(*[st.sampled_from([0.0, 0.25, 0.5, 1.0])] * 2)
    n = draw(st.integers(2, 4))
    people = st.lists(st.tuples(st.sampled_from([-1, 1, 2]), boxes), max_size=4)
    scenes = [scene(f"s{i}", *draw(people)) for i in range(n)]
    detections = [found(*draw(st.lists(st.tuples(boxes, vector), max_size=4))) for _ in range(n)]
    gallery = draw(st.lists(st.integers(0, n - 1), min_size=1, max_size=7))
    query = Query(draw(st.integers(0, n - 1)), np.zeros(4, np.float32), 1, np.array(gallery))
    return scenes, detections, query, np.array(draw(vector), np.float32)


@settings(max_examples=100, deadline=None)
@given(worlds())
def test_legacy_is_what_the_published_evaluators_compute(world):
    scenes, detections, query, vector = world
    expected = published(scenes, detections, query, vector)
    if expected is None:
        with pytest.raises(ValueError, match="in its gallery"):
            search(scenes, detections, [query], vector[None], protocol=LEGACY)
    else:
        result = search(scenes, detections, [query], vector[None], protocol=LEGACY)
        assert result.mAP == pytest.approx(expected, abs=1e-12)
