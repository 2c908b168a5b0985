import numpy as np
import pytest

from psearch.data.scenes import anchor_shapes
from psearch.types import Scene, Split


def split_of(sides, ignore=None):
    boxes = np.array([[0, 0, side, 2 * side] for side in sides], np.float32).reshape(-1, 4)
    hidden = np.zeros(len(sides), bool) if ignore is None else np.array(ignore)
    scene = Scene("a", 200, 300, boxes, np.zeros(len(sides), int), hidden)
    return Split("train", [scene], lambda index: np.zeros((200, 300, 3), np.uint8))


def test_sizes_are_quantiles_of_the_root_area_in_input_pixels():
    shapes = anchor_shapes(split_of(range(10, 91)), None, 4)
    assert np.allclose(shapes.sizes, np.sqrt(2) * np.array([20, 40, 60, 80]))
    assert shapes.aspect == 2
    halved = anchor_shapes(split_of(range(10, 91)), (100, 150), 4)
    assert np.allclose(np.array(shapes.sizes) / 2, halved.sizes) and halved.aspect == 2


def test_ignored_boxes_do_not_count_and_none_at_all_is_refused():
    assert anchor_shapes(split_of([10, 99], ignore=[False, True]), None, 1).sizes == pytest.approx([200**0.5])
    with pytest.raises(ValueError, match="no boxes"):
        anchor_shapes(split_of([]), None, 3)
