"""Pictures: cut where the boxes are, within the budget, and judged as a person would."""

from __future__ import annotations

import base64
import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from psearch.report.album import CROP_HEIGHT, MISSED, RIGHT, WRONG, Album, judge, read_finds
from psearch.report.comparison import compare
from psearch.report.pictures import Gallery
from psearch.report.searches import most_changed, spaced
from psearch.types import Scene
from tests.report.fake_study import fake_study


def decode(uri: str) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(uri.split(",")[1]))))


def red_and_blue(index: int) -> np.ndarray:
    picture = np.zeros((100, 200, 3), np.uint8)
    picture[:, :100, 0], picture[:, 100:, 2] = 255, 255
    return picture


def test_a_crop_shows_what_is_in_the_box() -> None:
    album = Album(red_and_blue)
    red, blue = (
        decode(album.pictures[album.crop(0, box) or 0]) for box in [(5, 10, 40, 90), (150, 10, 190, 90)]
    )
    assert red.shape[0] == blue.shape[0] == CROP_HEIGHT
    assert red.mean((0, 1)).argmax() == 0 and blue.mean((0, 1)).argmax() == 2


@pytest.mark.parametrize(
    "box", [(-50.0, -50.0, -10.0, -10.0), (190.0, 90.0, 500.0, 400.0), (10.0, 10.0, 10.0, 10.0)]
)
def test_boxes_beyond_the_picture_or_without_size_are_no_crash(
    box: tuple[float, float, float, float],
) -> None:
    album = Album(red_and_blue)
    assert album.crop(0, box) == 0 and album.scene(0, [(box, WRONG)]) == 1


def test_a_picture_is_kept_once_and_the_budget_holds() -> None:
    album = Album(red_and_blue, budget=3000)
    numbers = [album.crop(0, (x, 0.0, x + 30.0, 90.0)) for x in range(0, 150, 5)]
    assert numbers[0] == album.crop(0, (0.0, 0.0, 30.0, 90.0)) == 0
    assert None in numbers and album.full
    assert 0 < sum(map(len, album.pictures)) <= 3000


def test_examples_are_spaced_and_changes_are_the_largest_of_both_signs() -> None:
    assert spaced(range(100), 4) == [0, 25, 50, 75]
    assert spaced([3, 8], 4) == [3, 8]
    before, after = [0.5, 0.5, 0.5, 0.5, 0.5], [0.6, 0.9, 0.5, 0.1, 0.4]
    assert most_changed(before, after, 2) == [1, 3, 0, 4]
    assert most_changed(before, after, 1) == [1, 3]
    assert most_changed(before, before, 3) == []
    assert most_changed([None, *before[1:]], after, 2) == [1, 3, 4]
    assert most_changed([0.0, 0.0, 0.0, None], [0.1, 0.1, 0.1, 0.9], 2) == [0, 1]  # ties as on the page


def test_people_are_found_missed_ignored_or_imagined() -> None:
    truth = np.array([[0, 0, 10, 20], [50, 0, 60, 20], [100, 0, 110, 20]], np.float32)
    scene = Scene("a", 100, 200, truth, np.array([1, -1, 2]), np.array([False, False, True]))
    found = np.array(
        [[0, 0, 10, 19], [1, 0, 10, 20], [100, 0, 110, 20], [101, 0, 110, 20], [150, 50, 160, 70]]
    )
    colours = [colour for _, colour in judge(found, scene)]
    assert colours == [MISSED, RIGHT, WRONG, WRONG]  # the second frame on one person is a false alarm
    assert judge(np.zeros((0, 4)), scene)[0] == ((0, 0, 10, 20), MISSED)


def test_detections_below_the_threshold_are_not_shown(tmp_path: Path) -> None:
    boxes = np.arange(12, dtype=np.float32).reshape(3, 4)
    np.savez(
        tmp_path / "d.npz", images=np.array(["a", "a", "b"]), boxes=boxes, scores=np.array([0.6, 0.9, 0.2])
    )
    a, b, nowhere = read_finds(tmp_path / "d.npz", ["a", "b", "c"], score=0.5) or []
    assert a.tolist() == boxes[[1, 0]].tolist() and len(b) == len(nowhere) == 0
    (tmp_path / "d.npz").write_bytes((tmp_path / "d.npz").read_bytes()[:300])
    assert read_finds(tmp_path / "d.npz", ["a"], score=0.5) is None


def test_differences_have_the_pictures_of_the_searches_that_changed_most(tmp_path: Path) -> None:
    study = fake_study(tmp_path, seeds=[1], failed=0)
    comparison = compare([study.directory])
    data = Gallery(comparison, study.searches, study.street.read).collect(study.street.scenes)
    alone, taught = data["pair"]
    changes = np.array(data["ap"][taught]) - np.array(data["ap"][alone])
    for query in (int(changes.argmax()), int(changes.argmin())):
        assert query in data["queries"]
        assert query in data["strips"][alone] and query in data["strips"][taught]


def test_without_pictures_the_numbers_are_still_there(tmp_path: Path) -> None:
    study = fake_study(tmp_path, seeds=[1, 2], failed=0)
    data = Gallery(compare([study.directory]), {}, None).collect(())
    assert data["examples"] == [] and data["pictures"] == [] and data["detections"] == []
    assert len(data["ap"][data["pair"][0]]) == 40
