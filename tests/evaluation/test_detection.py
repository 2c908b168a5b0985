"""Detection AP and recall against a literal reading of the definition."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score

from psearch.evaluation.boxes import stack
from psearch.evaluation.detection import DetectionResult, evaluate_detection, match_detections
from psearch.types import UNLABELLED, Detections, Scene

Box = tuple[float, float, float, float]
PERSON, SHIFTED, ELSEWHERE = (0.0, 0.0, 10.0, 20.0), (0.0, 2.0, 10.0, 22.0), (50.0, 0.0, 60.0, 20.0)


def boxes(*rows: Box) -> np.ndarray:
    return np.array(rows, np.float32).reshape(-1, 4)


def scores(*values: float) -> np.ndarray:
    return np.array(values, np.float32)


def match(people, ignored, found, values) -> DetectionResult:
    """One array per scene of each."""
    return match_detections(stack(people), stack(ignored), stack(found), np.concatenate(values))


def test_each_person_found_once_is_perfect():
    result = match([boxes(PERSON)], [boxes()], [boxes(SHIFTED)], [scores(0.9)])
    assert (result.AP, result.recall, result.found, result.people) == (1.0, 1.0, 1, 1)


def test_a_second_box_on_the_same_person_is_wrong_even_with_the_better_score():
    result = match([boxes(PERSON)], [boxes()], [boxes(SHIFTED, PERSON)], [scores(0.9, 0.8)])
    assert result.recall == 1 and result.AP == 0.5


def test_people_in_scenes_without_detections_cost_recall():
    result = match(
        [boxes(PERSON), boxes(PERSON)], [boxes()] * 2, [boxes(PERSON), boxes()], [scores(0.9), scores()]
    )
    assert result.recall == 0.5 and result.AP == 0.5


def test_detections_on_ignored_people_are_neither_right_nor_wrong():
    found = [boxes(PERSON, ELSEWHERE)], [scores(0.8, 0.9)]
    assert match([boxes(PERSON)], [boxes()], *found).AP == 0.5
    assert match([boxes(PERSON)], [boxes(ELSEWHERE)], *found).AP == 1.0


def test_labelled_only_asks_for_people_with_an_identity_and_excuses_the_rest():
    ids = np.array([3, UNLABELLED])
    scene = Scene("s", 100, 100, boxes(PERSON, ELSEWHERE), ids, np.zeros(2, bool))
    found = Detections(boxes(ELSEWHERE), scores(0.9), np.zeros((1, 2), np.float32))
    assert evaluate_detection([scene], [found]).recall == 0.5
    labelled = evaluate_detection([scene], [found], labelled_only=True)
    assert (labelled.recall, labelled.people) == (0.0, 1)


def test_the_threshold_keeps_equal_scores():
    scene = Scene("s", 100, 100, boxes(PERSON), np.array([1]), np.zeros(1, bool))
    found = Detections(boxes(PERSON), scores(0.5), np.zeros((1, 2), np.float32))
    assert evaluate_detection([scene], [found], score_threshold=0.5).recall == 1
    assert evaluate_detection([scene], [found], score_threshold=0.51).recall == 0


def test_a_split_without_people_cannot_be_measured():
    with pytest.raises(ValueError, match="one per scene"):
        evaluate_detection([], [Detections(boxes(), scores(), np.zeros((0, 2), np.float32))])
    with pytest.raises(ValueError, match="no person"):
        match([boxes()], [boxes()], [boxes(PERSON)], [scores(0.9)])


def overlap(a: Box, b: Box) -> float:
    width = max(0.0, min(a[2], b[2]) - max(a[0], b[0]))
    height = max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - width * height
    return width * height / union


def literal(people: list[list[Box]], found: list[list[tuple[Box, float]]]) -> tuple[float, float]:
    truth, ranked, hits = [], [], 0
    for wanted, rows in zip(people, found, strict=True):
        table = np.array([[overlap(person, box) for box, _ in rows] for person in wanted])
        for column, (_, score) in enumerate(rows):
            right = False
            if wanted:
                person = int(np.argmax(table[:, column]))
                right = table[person, column] >= 0.5 and int(np.argmax(table[person])) == column
            hits += right
            truth.append(right)
            ranked.append(score)
    recall = hits / sum(map(len, people))
    return (float(average_precision_score(truth, ranked)) if hits else 0.0) * recall, recall


coordinate = st.sampled_from([0.0, 1.0, 5.0, 12.0])
side = st.sampled_from([6.0, 8.0, 12.0])
any_box = st.builds(lambda x, y, w, h: (x, y, x + w, y + h), coordinate, coordinate, side, side)
one_scene = st.tuples(
    st.lists(any_box, max_size=4),
    st.lists(st.tuples(any_box, st.sampled_from([0.25, 0.5, 0.75, 1.0])), max_size=6),
)


@settings(max_examples=150, deadline=None)
@given(st.lists(one_scene, min_size=1, max_size=4).filter(lambda world: any(people for people, _ in world)))
def test_mutual_best_equals_the_literal_definition_with_all_its_ties(world):
    people, found = [p for p, _ in world], [f for _, f in world]
    result = match(
        [boxes(*rows) for rows in people],
        [boxes()] * len(world),
        [boxes(*(box for box, _ in rows)) for rows in found],
        [scores(*(score for _, score in rows)) for rows in found],
    )
    np.testing.assert_allclose((result.AP, result.recall), literal(people, found), atol=1e-12)
