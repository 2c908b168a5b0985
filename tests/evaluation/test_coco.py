"""COCO's detection metric against a literal reading of its definition."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from psearch.evaluation.detection import coco_AP, interpolated_precision
from psearch.types import Detections, Scene

PERSON, CLOSE, ELSEWHERE = (0.0, 0.0, 10.0, 20.0), (0.0, 2.0, 10.0, 22.0), (50.0, 0.0, 60.0, 20.0)


def scene(people, crowds=()) -> Scene:
    boxes = np.array([*people, *crowds], np.float32).reshape(-1, 4)
    ignore = np.arange(len(boxes)) >= len(people)
    return Scene("s", 100, 100, boxes, np.zeros(len(boxes), np.int64), ignore)


def found(rows) -> Detections:
    boxes = np.array([box for box, _ in rows], np.float32).reshape(-1, 4)
    scores = np.array([score for _, score in rows], np.float32)
    return Detections(boxes, scores, np.zeros((len(rows), 1), np.float32))


def test_exact_boxes_are_perfect_and_loose_ones_only_at_low_overlap():
    assert coco_AP([scene([PERSON])], [found([(PERSON, 0.9)])]).AP == 1
    loose = coco_AP([scene([PERSON])], [found([(CLOSE, 0.9)])])
    assert loose.AP50 == 1
    np.testing.assert_allclose(loose.AP, 7 / 10)


def test_a_crowd_is_neither_gain_nor_loss_however_often_it_is_found():
    rows = [(ELSEWHERE, 0.9), (ELSEWHERE, 0.8), (PERSON, 0.7)]
    np.testing.assert_allclose(coco_AP([scene([PERSON])], [found(rows)]).AP, 1 / 3)
    assert coco_AP([scene([PERSON], crowds=[ELSEWHERE])], [found(rows)]).AP == 1


def test_only_the_best_of_a_scene_count():
    rows = [(ELSEWHERE, 0.9), (PERSON, 0.8)]
    assert coco_AP([scene([PERSON])], [found(rows)], max_detections=1).AP == 0


def test_precision_is_read_at_101_recalls():
    assert interpolated_precision(np.array([True]), 2) == pytest.approx(51 / 101)
    assert interpolated_precision(np.array([], bool), 2) == 0


def test_nobody_to_find_is_an_error():
    with pytest.raises(ValueError, match="no person"):
        coco_AP([scene([])], [found([(PERSON, 0.9)])])


def shares(a, b):
    """(intersection over union, intersection over the area of a)."""
    width = max(0.0, min(a[2], b[2]) - max(a[0], b[0]))
    height = max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    area, other = (a[2] - a[0]) * (a[3] - a[1]), (b[2] - b[0]) * (b[3] - b[1])
    return width * height / (area + other - width * height), width * height / area


def literal_at(world, threshold, limit):
    """One IoU threshold: greedy matching by falling score, then the 101-point average."""
    answers, total = [], sum(len(people) for people, _, _ in world)
    for number, (people, crowds, rows) in enumerate(world):
        free = [True] * len(people)
        for place, (box, score) in enumerate(sorted(rows, key=lambda row: -row[1])[:limit]):
            best, choice = threshold, None
            for index, person in enumerate(people):
                if free[index] and shares(box, person)[0] >= best:
                    best, choice = shares(box, person)[0], index
            if choice is not None:
                free[choice] = False
            elif any(shares(box, crowd)[1] >= threshold for crowd in crowds):
                continue
            answers.append((-score, number, place, choice is not None))
    right = [answer[-1] for answer in sorted(answers)]
    precisions = [sum(right[: i + 1]) / (i + 1) for i in range(len(right))]
    recalls = [sum(right[: i + 1]) / total for i in range(len(right))]
    return np.mean(
        [
            max((p for p, r in zip(precisions, recalls, strict=True) if r >= wanted), default=0.0)
            for wanted in np.linspace(0, 1, 101)
        ]
    )


coordinate, side = st.sampled_from([0.0, 1.0, 3.0]), st.sampled_from([8.0, 9.0, 10.0])
box = st.builds(lambda x, y, w, h: (x, y, x + w, y + h), coordinate, coordinate, side, side)
one_scene = st.tuples(
    st.lists(box, max_size=3),
    st.lists(box, max_size=2),
    st.lists(st.tuples(box, st.sampled_from([0.2, 0.5, 0.5, 0.9])), max_size=5),
)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(one_scene, min_size=1, max_size=3).filter(lambda world: any(people for people, _, _ in world))
)
def test_it_equals_the_literal_definition(world):
    result = coco_AP(
        [scene(people, crowds) for people, crowds, _ in world],
        [found(rows) for _, _, rows in world],
        max_detections=4,
    )
    expected = [literal_at(world, threshold, 4) for threshold in np.linspace(0.5, 0.95, 10)]
    np.testing.assert_allclose([result.AP, result.AP50], [np.mean(expected), expected[0]], atol=1e-12)
