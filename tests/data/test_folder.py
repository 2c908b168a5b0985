"""A folder of pictures without annotations."""

from __future__ import annotations

from pathlib import Path

import pytest

from psearch.data.folder import folder
from tests.data.published_layouts import picture


def test_all_pictures_are_there_once_and_some_are_held_out(tmp_path: Path) -> None:
    for number in range(20):
        picture(tmp_path / "ab"[number % 2] / f"{number}.png", 16, 24, seed=number)
    (tmp_path / "notes.txt").write_text("no picture")
    data = folder(tmp_path, held_out=0.2)
    assert (len(data.train.scenes), len(data.test.scenes), data.identities) == (16, 4, 0)
    names = [scene.name for scene in (*data.train.scenes, *data.test.scenes)]
    assert len(set(names)) == 20 and data.train.read(0).shape == (16, 24, 3)
    again = folder(tmp_path, held_out=0.2)
    assert again.fingerprint == data.fingerprint and again.test.scenes[0].name == data.test.scenes[0].name
    (tmp_path / "a" / "0.png").unlink()
    assert folder(tmp_path, held_out=0.2).train_fingerprint != data.train_fingerprint


def test_what_is_no_folder_of_pictures_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="There is no folder"):
        folder(tmp_path / "gone")
    with pytest.raises(ValueError, match="holds 0 pictures"):
        folder(tmp_path)
    (tmp_path / "a.jpg").write_text("broken")
    picture(tmp_path / "b.jpg", 16, 24)
    with pytest.raises(ValueError, match="lacks readable pictures a.jpg"):
        folder(tmp_path)
    with pytest.raises(ValueError, match="held_out=1"):
        folder(tmp_path, held_out=1)
