"""detections.npz: what is written is read, and what cannot be trusted is named."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from psearch.evaluation.detections_file import read_detections, write_detections
from psearch.types import Scene

SCENES = [
    Scene(name, 50, 50, np.zeros((0, 4), np.float32), np.zeros(0, np.int64), np.zeros(0, bool))
    for name in ("a.jpg", "b.jpg", "c.jpg")
]


def arrays() -> dict[str, np.ndarray]:
    """Three detections in two of three scenes, in no order; two queries."""
    return {
        "images": np.array(["c.jpg", "a.jpg", "c.jpg"]),
        "boxes": np.array([[0, 0, 5, 9], [1, 1, 6, 9], [2, 2, 7, 9]], np.float32),
        "scores": np.array([0.5, 0.7, 0.9], np.float32),
        "embeddings": np.eye(3, 4, dtype=np.float32),
        "query_embeddings": np.ones((2, 4), np.float32),
    }


def read(path: Path, **changes: np.ndarray):
    np.savez(path / "d.npz", **{**arrays(), **changes})
    return read_detections(path / "d.npz", SCENES, queries=2)


def test_detections_find_their_scene_best_score_first(tmp_path):
    found, queries = read(tmp_path)
    assert [part.scores.tolist() for part in found] == [
        [pytest.approx(0.7)],
        [],
        [pytest.approx(0.9), pytest.approx(0.5)],
    ]
    np.testing.assert_array_equal(found[2].embeddings, np.eye(3, 4)[[2, 0]])
    assert queries.shape == (2, 4) and found[1].boxes.shape == (0, 4)


def test_what_is_written_is_read(tmp_path):
    found, queries = read(tmp_path)
    write_detections(tmp_path / "again.npz", SCENES, found, queries)
    again, _ = read_detections(tmp_path / "again.npz", SCENES, queries=2)
    for left, right in zip(found, again, strict=True):
        for part in ("boxes", "scores", "embeddings"):
            np.testing.assert_array_equal(getattr(left, part), getattr(right, part))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["again.npz", "d.npz"]


def test_a_failed_write_leaves_the_old_file_and_no_rubbish(tmp_path, monkeypatch):
    found, queries = read(tmp_path)
    before = (tmp_path / "d.npz").read_bytes()

    def full(*_: object, **__: object) -> None:
        raise OSError("no space left")

    monkeypatch.setattr(np, "savez", full)
    with pytest.raises(OSError, match="no space"):
        write_detections(tmp_path / "d.npz", SCENES, found, queries)
    assert [path.name for path in tmp_path.iterdir()] == ["d.npz"]
    assert (tmp_path / "d.npz").read_bytes() == before


WRONG = [
    ({"boxes": np.ones((3, 5), np.float32)}, r"array boxes has shape \(3, 5\), expected \(3, 4\)"),
    ({"scores": np.ones(2, np.float32)}, r"array scores has shape \(2,\), expected \(3,\)"),
    ({"embeddings": np.ones((3, 5), np.float32)}, r"array embeddings has shape \(3, 5\), expected \(3, 4\)"),
    ({"query_embeddings": np.ones((3, 4))}, r"array query_embeddings has shape \(3, 4\), expected \(2, 4\)"),
    ({"images": np.array(["c.jpg", "x.jpg", "c.jpg"])}, "first 'x.jpg'; names look like 'a.jpg'"),
    ({"images": np.array([1, 2, 3])}, "array images holds int64, not text"),
    ({"scores": np.array(["high"] * 3)}, "array scores holds <U4, not numbers"),
    ({"scores": np.array([0.5, 7.0, 0.1])}, "1 of 3 scores are not probabilities in 0…1, first in scene a"),
    ({"embeddings": np.full((3, 4), np.nan)}, "3 of 3 embeddings are NaN or infinite, first in scene c.jpg"),
    ({"boxes": np.array([[0, 0, 5, 9]] * 2 + [[9, 9, 5, 4]])}, "1 of 3 boxes end before .*scene c.jpg"),
    (
        {"query_embeddings": np.array([[0] * 4, [np.inf] * 4])},
        "query_embeddings is NaN or infinite for query 1",
    ),
    ({"images": np.array(["a.jpg"] * 3, object)}, "not a readable .npz of plain arrays"),
]


@pytest.mark.parametrize(("changes", "message"), WRONG)
def test_what_is_wrong_is_named(tmp_path, changes, message):
    with pytest.raises(ValueError, match=message) as error:
        read(tmp_path, **changes)
    assert "d.npz" in str(error.value)


def test_files_that_are_none(tmp_path):
    with pytest.raises(ValueError, match="no such file"):
        read_detections(tmp_path / "d.npz", SCENES, queries=2)
    (tmp_path / "d.npz").write_bytes(b"PK\x03\x04 cut short")
    with pytest.raises(ValueError, match="not a readable"):
        read_detections(tmp_path / "d.npz", SCENES, queries=2)
    np.savez(tmp_path / "d.npz", boxes=np.zeros((0, 4)))
    with pytest.raises(ValueError, match="lacks the arrays images, scores, embeddings, query_embeddings"):
        read_detections(tmp_path / "d.npz", SCENES, queries=2)
