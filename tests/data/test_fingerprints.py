"""A data set is known by what is in it: not by where it lies, and not by sizes alone."""

from __future__ import annotations

import json
import logging
import os
import shutil
from pathlib import Path

import pytest

from psearch.data import fingerprints as module
from psearch.data.coco import coco
from psearch.data.fingerprints import contents, fingerprint, fingerprints
from psearch.data.synthetic.benchmark import synthetic

STREET = Path("../shared/data/street_mini")
NAMES = ["a.png", "b.png"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "pictures"
    folder.mkdir()
    for name in NAMES:
        (folder / name).write_bytes(name.encode() * 50)
    module._digest.cache_clear()
    return folder


def change_a_byte(picture: Path) -> None:
    content = bytearray(picture.read_bytes())
    content[7] ^= 1
    later = picture.stat().st_mtime_ns + 1_000_000
    picture.write_bytes(content)
    os.utime(picture, ns=(later, later))


def test_a_byte_in_a_picture_is_other_data(folder: Path, tmp_path: Path) -> None:
    """The size in bytes stays, which is all that was looked at once."""
    for cache in (None, tmp_path / "cache"):
        before = fingerprint([], contents(folder, NAMES, cache), "s")
        change_a_byte(folder / "a.png")
        assert fingerprint([], contents(folder, NAMES, cache), "s") != before


def test_a_name_and_a_setting_are_part_of_it(folder: Path) -> None:
    known = {fingerprint([], contents(folder, NAMES, None), settings) for settings in ("s", "t")}
    (folder / "b.png").rename(folder / "c.png")
    known.add(fingerprint([], contents(folder, ["a.png", "c.png"], None), "s"))
    assert len(known) == 3


def test_the_place_and_its_spelling_are_not(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(folder, tmp_path / "copy")
    (tmp_path / "link").symlink_to(folder)
    monkeypatch.chdir(tmp_path)
    spelt = [f"{folder}/", "pictures", "pictures/../pictures", "link", "copy"]
    assert {str(contents(Path(place), NAMES, "cache")) for place in spelt} == {
        str(contents(folder, NAMES, None))
    }
    assert len(list(Path("cache/digests").iterdir())) == 2


def test_a_picture_is_read_once(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = contents(folder, NAMES, tmp_path)
    monkeypatch.setattr(module, "_digest", lambda *_: pytest.fail("read again"))
    assert contents(folder, NAMES, tmp_path) == first
    assert contents(folder, NAMES[:1], tmp_path).items() < first.items()
    change_a_byte(folder / "b.png")
    with pytest.raises(pytest.fail.Exception, match="read again"):
        contents(folder, NAMES, tmp_path)


@pytest.mark.parametrize("text", ["", "[]", '{"a.png": 3', '{"a.png": null}'])
def test_damaged_digests_are_made_again(folder: Path, tmp_path: Path, text: str) -> None:
    first = contents(folder, NAMES, tmp_path)
    [kept] = (tmp_path / "digests").iterdir()
    kept.write_text(text)
    assert contents(folder, NAMES, tmp_path) == first and set(json.loads(kept.read_text())) == set(NAMES)


def test_digests_that_cannot_be_kept_are_said_and_made_again(
    folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "digests").write_text("a file where the folder should be")
    with caplog.at_level(logging.WARNING):
        assert contents(folder, NAMES, tmp_path) == contents(folder, NAMES, None)
    assert "digests of pictures cannot be kept" in caplog.text


def test_missing_pictures_are_named(folder: Path) -> None:
    with pytest.raises(ValueError, match="lacks readable pictures c.png"):
        contents(folder, [*NAMES, "c.png"], None)


def test_synthetic_data_is_known_before_it_is_drawn(tmp_path: Path) -> None:
    sizes = {
        "train_scenes": 8, "val_scenes": 8, "test_scenes": 8,
        "train_identities": 4, "val_identities": 4, "test_identities": 4, "gallery_size": 5, "queries": 4,
    }  # fmt: skip
    node = {"_target_": "psearch.data.synthetic.benchmark.synthetic", "root": str(tmp_path), **sizes}
    known = fingerprints(node)
    assert list(tmp_path.iterdir()) == []
    drawn = synthetic(tmp_path, **sizes)
    assert known == (drawn.fingerprint, drawn.train_fingerprint)
    assert fingerprints({**node, "workers": 3, "root": "elsewhere"}) == known
    other = fingerprints({**node, "gallery_size": 6})
    assert other.whole != known.whole and other.train == known.train
    with pytest.raises(ValueError, match="at least 48"):
        fingerprints({**node, "height": 8})


def test_other_data_is_read_to_be_known(tmp_path: Path) -> None:
    node = {"_target_": "psearch.data.coco.coco", "root": str(STREET), "cache": str(tmp_path)}
    read = coco(STREET)
    assert fingerprints(node) == (read.fingerprint, read.train_fingerprint)
    with pytest.raises(ValueError, match="data.root"):
        fingerprints({**node, "root": str(tmp_path)})
