"""Pictures: cut where the boxes are, within the budget, and framed as the evaluation counted them."""

from __future__ import annotations

import base64
import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from psearch.evaluation.detection import evaluate_detection
from psearch.report.comparison import compare
from psearch.report.image_store import CROP_HEIGHT, MISSED, RIGHT, WRONG, ImageStore, frames
from psearch.report.pictures import PagePictures
from psearch.report.searches import most_changed, spaced
from psearch.types import Detections, Scene
from tests.report.fake_study import fake_study


def decode(uri: str) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(uri.split(",")[1]))))


def red_and_blue(index: int) -> np.ndarray:
    picture = np.zeros((100, 200, 3), np.uint8)
    picture[:, :100, 0], picture[:, 100:, 2] = 255, 255
    return picture


def test_a_crop_shows_what_is_in_the_box() -> None:
    store = ImageStore(red_and_blue)
    red, blue = (
        decode(store.pictures[store.crop(0, box) or 0]) for box in [(5, 10, 40, 90), (150, 10, 190, 90)]
    )
    assert red.shape[0] == blue.shape[0] == CROP_HEIGHT
    assert red.mean((0, 1)).argmax() == 0 and blue.mean((0, 1)).argmax() == 2


@pytest.mark.parametrize(
    "box", [(-50.0, -50.0, -10.0, -10.0), (190.0, 90.0, 500.0, 400.0), (10.0, 10.0, 10.0, 10.0)]
)
def test_boxes_beyond_the_picture_or_without_size_are_no_crash(
    box: tuple[float, float, float, float],
) -> None:
    store = ImageStore(red_and_blue)
    assert store.crop(0, box) == 0 and store.scene(0, [(box, WRONG)]) == 1


def test_a_picture_is_kept_once_and_the_budget_holds() -> None:
    store = ImageStore(red_and_blue, budget=3000)
    numbers = [store.crop(0, (x, 0.0, x + 30.0, 90.0)) for x in range(0, 150, 5)]
    assert numbers[0] == store.crop(0, (0.0, 0.0, 30.0, 90.0)) == 0
    assert None in numbers and store.full
    assert 0 < sum(map(len, store.pictures)) <= 3000


def test_examples_are_spaced_and_changes_are_the_largest_of_both_signs() -> None:
    assert spaced(range(100), 4) == [0, 25, 50, 75]
    assert spaced([3, 8], 4) == [3, 8]
    before, after = [0.5, 0.5, 0.5, 0.5, 0.5], [0.6, 0.9, 0.5, 0.1, 0.4]
    assert most_changed(before, after, 2) == [1, 3, 0, 4]
    assert most_changed(before, after, 1) == [1, 3]
    assert most_changed(before, before, 3) == []
    assert most_changed([None, *before[1:]], after, 2) == [1, 3, 4]
    assert most_changed([0.0, 0.0, 0.0, None], [0.1, 0.1, 0.1, 0.9], 2) == [0, 1]  # ties as on the page


def colours(scene: Scene, found: np.ndarray) -> list[str]:
    return [colour for _, colour in frames(scene, found)]


def test_people_are_found_missed_ignored_or_imagined() -> None:
    truth = np.array([[0, 0, 10, 20], [50, 0, 60, 20], [100, 0, 110, 20]], np.float32)
    scene = Scene("a", 100, 200, truth, np.array([1, -1, 2]), np.array([False, False, True]))
    found = np.array(
        [[0, 0, 10, 19], [1, 0, 10, 20], [100, 0, 110, 20], [101, 0, 110, 20], [150, 50, 160, 70]]
    )
    assert colours(scene, found) == [MISSED, RIGHT, WRONG, WRONG]  # two on one person; nothing on the ignored
    assert frames(scene, np.zeros((0, 4)))[0] == ((0, 0, 10, 20), MISSED)


def test_a_better_scored_detection_that_fits_worse_is_wrong_in_the_picture_too() -> None:
    """Detection and person must be each other's best overlap; the best score does not decide."""
    truth = np.array([[0, 0, 10, 20], [0, 30, 10, 50]], np.float32)
    scene = Scene("a", 100, 200, truth, np.array([1, 2]), np.zeros(2, bool))
    found = np.array([[0, 0, 10, 14], [0, 0, 10, 20], [0, 25, 10, 45]], np.float32)
    scores = np.array([0.9, 0.6, 0.5], np.float32)
    assert [box for box, colour in frames(scene, found) if colour == RIGHT] == [
        (0.0, 0.0, 10.0, 20.0),
        (0.0, 25.0, 10.0, 45.0),
    ]
    measured = evaluate_detection([scene], [Detections(found, scores, np.zeros((3, 1)))], score=0.5)
    assert measured.found == colours(scene, found).count(RIGHT) == 2
    assert measured.AP < 1  # the number says that the best-scored detection is a false alarm


@pytest.mark.parametrize("seed", range(20))
def test_no_picture_contradicts_the_number_beside_it(seed: int) -> None:
    draw = np.random.default_rng(seed)
    corners = draw.integers(0, 30, (9, 2))
    boxes = np.concatenate([corners, corners + draw.integers(8, 20, (9, 2))], axis=1).astype(np.float32)
    scene = Scene("a", 60, 60, boxes, np.arange(9), draw.random(9) < 0.3)
    found = (np.repeat(boxes, 3, axis=0) + draw.normal(0, 3, (27, 4))).astype(np.float32)
    found[:, 2:] = np.maximum(found[:, 2:], found[:, :2])
    scores = np.sort(draw.random(27).astype(np.float32))[::-1]
    counted = evaluate_detection([scene], [Detections(found, scores, np.zeros((27, 1)))], score=0.0)
    drawn = colours(scene, found)
    assert drawn.count(RIGHT) == counted.found
    assert drawn.count(MISSED) == counted.people - counted.found


def test_detections_are_those_that_were_measured(tmp_path: Path) -> None:
    """With at least the score of the protocol; a file that is damaged or of other data draws nothing."""
    study = fake_study(tmp_path, seeds=[1], failed=0)
    comparison = compare([study.directory])

    def drawn() -> list[str]:
        data = PagePictures(comparison, study.searches, study.street.read).collect(study.street.scenes)
        return [found["scene"] for found in data["detections"]]

    everything = drawn()
    assert len(everything) == 8
    path = next(study.directory.glob("*-none-*")) / "detections.npz"
    path.write_bytes(path.read_bytes()[:300])
    assert drawn() == everything[4:]
    strangers = [replace(scene, name=f"other {scene.name}") for scene in study.street.scenes]
    data = PagePictures(comparison, study.searches, study.street.read).collect(strangers)
    assert data["detections"] == []


def test_a_scene_that_cannot_be_read_costs_its_pictures_only(tmp_path: Path) -> None:
    def read(index: int) -> np.ndarray:
        if index == 1:
            raise OSError("no such file: s1.jpg")
        return red_and_blue(index)

    store = ImageStore(read)
    assert store.crop(1, (0, 0, 9, 9)) is None and store.crop(1, (0, 0, 9, 9)) is None
    assert store.crop(2, (0, 0, 9, 9)) == 0 and not store.full


def test_differences_have_the_pictures_of_the_searches_that_changed_most(tmp_path: Path) -> None:
    study = fake_study(tmp_path, seeds=[1], failed=0)
    comparison = compare([study.directory])
    data = PagePictures(comparison, study.searches, study.street.read).collect(study.street.scenes)
    baseline, distilled = data["pair"]
    changes = np.array(data["ap"][distilled]) - np.array(data["ap"][baseline])
    for query in (int(changes.argmax()), int(changes.argmin())):
        assert query in data["queries"]
        assert query in data["strips"][baseline] and query in data["strips"][distilled]


def test_without_pictures_the_numbers_are_still_there(tmp_path: Path) -> None:
    study = fake_study(tmp_path, seeds=[1, 2], failed=0)
    data = PagePictures(compare([study.directory]), {}, None).collect(())
    assert data["examples"] == [] and data["pictures"] == [] and data["detections"] == []
    assert len(data["ap"][data["pair"][0]]) == 40
