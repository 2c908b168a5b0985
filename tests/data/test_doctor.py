"""The doctor tells oddities that are handled from what must be mended, with names."""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from PIL import Image, ImageColor
from published_layouts import nasty_cuhk_sysu, nasty_prw

from psearch.data.coco import coco
from psearch.data.cuhk_sysu import cuhk_sysu
from psearch.data.doctor import COLOURS, examine, picture_sheet
from psearch.data.prw import prw
from psearch.types import Benchmark, Query, Scene, Split


@pytest.fixture
def cuhk(tmp_path):
    return nasty_cuhk_sysu(tmp_path / "cuhk_sysu")


def test_oddities_of_the_published_files_are_notes_not_problems(cuhk):
    examination = examine(partial(cuhk_sysu, cuhk), published=False)
    text = str(examination)
    assert not examination.findings.problems
    assert f"cuhk_sysu, fingerprint {cuhk_sysu(cuhk).fingerprint}" in text
    assert "4 training scenes" in text and "2 training identities" in text
    assert "2 pictures have a box without area, which is left out: s1.jpg, s3.jpg" in text
    assert "1 pictures have a box that reaches beyond them and is cut: s4.jpg" in text
    assert "2 test queries list a scene more than once: 1 (s7.jpg), 2 (s7.jpg), 3 (s8.jpg)" not in text
    assert "3 test queries list a scene more than once: 1 (s7.jpg), 2 (s7.jpg), 3 (s8.jpg)" in text
    assert "1 test queries have their own scene in the gallery: 3 (s8.jpg)" in text
    assert "1 train scenes show one identity twice: s2.jpg" in text


def test_prw_oddities(tmp_path):
    text = str(examine(partial(prw, nasty_prw(tmp_path)), published=False))
    assert "problem" not in text
    assert (
        "2 pictures have a box that reaches beyond them and is cut: c1s1_001001.jpg, c2s1_001051.jpg" in text
    )
    assert "1 test scenes show one identity twice: c1s1_001026.jpg" in text
    assert "3 training identities have one box only" in text


def test_counts_are_compared_with_the_published_ones(cuhk):
    problems = examine(partial(cuhk_sysu, cuhk)).findings.problems
    assert "4 training scenes, but 11206 are published; compare with the original files" in problems
    assert "4 queries, but 2900 are published; compare with the original files" in problems


def test_truncated_pictures_are_found_by_their_end_and_broken_middles_by_decoding(cuhk):
    pictures = cuhk / "Image" / "SSM"
    whole = (pictures / "s3.jpg").read_bytes()
    (pictures / "s3.jpg").write_bytes(whole[: len(whole) // 2])
    Image.open(pictures / "s9.jpg").save(pictures / "s9.png")
    damaged = bytearray((pictures / "s9.png").read_bytes())
    damaged[len(damaged) // 2] ^= 255
    (pictures / "s9.jpg").write_bytes(damaged[:-12] + b"\xff\xd9")
    quick = examine(partial(cuhk_sysu, cuhk), published=False).findings.problems
    assert quick == ["1 pictures missing, truncated or no pictures; restore them: s3.jpg"]
    thorough = examine(partial(cuhk_sysu, cuhk), decode=True, published=False).findings.problems
    assert thorough == [
        "1 pictures missing, truncated or no pictures; restore them: s3.jpg",
        "1 pictures missing, truncated or no pictures; restore them: s9.jpg",
    ]


def test_a_data_set_that_cannot_be_read_is_one_problem(tmp_path):
    examination = examine(partial(coco, tmp_path))
    assert examination.benchmark is None
    assert str(examination).startswith("problem: There is no file")


def read(index):
    return np.zeros((40, 60, 3), np.uint8)


def scene(name, ids, boxes=None):
    boxes = np.array(boxes or [[5, 5, 15, 30]] * len(ids), np.float32).reshape(-1, 4)
    return Scene(name, 40, 60, boxes, np.array(ids), np.zeros(len(ids), bool))


def benchmark(train, test, queries=(), identities=1):
    return Benchmark(
        "toy", "f", identities, Split("train", train, read), None, Split("test", test, read, queries)
    )


def query(identity, gallery, own=0):
    return Query(own, np.array([5, 5, 15, 30], np.float32), identity, np.array(gallery, int))


def problems(*args, **kwargs):
    return examine(lambda: benchmark(*args, **kwargs)).findings.problems


def test_contradictions_are_problems():
    good = [scene("a", [0]), scene("b", [0])]
    assert problems(good, good, [query(0, [1])]) == []
    assert problems(good, good, [query(0, [])])[0].startswith("1 test queries have an empty gallery")
    assert "not boxed in their own scene: 0" in problems(good, [*good, scene("c", [])], [query(0, [1], 2)])[0]
    assert "nobody to find" in problems(good, [*good, scene("c", [])], [query(0, [2])])[0]
    assert problems(good, good, identities=3) == [
        "2 training identities have no box; renumber them without gaps: 1, 2"
    ]
    flat = [scene("a", [0], [[5, 5, 5, 30]])]
    assert problems(flat, good)[0].startswith("1 train scenes have boxes without area; remove the boxes: a")


def test_pictures_of_another_size_and_pictures_on_both_sides(cuhk):
    whole = cuhk_sysu(cuhk)
    wrong = replace(whole.train.scenes[0], height=77)
    mixed = replace(whole.train, scenes=[wrong, *whole.train.scenes[1:]])
    found = examine(lambda: replace(whole, train=mixed), published=False).findings.problems
    assert found == [
        "1 pictures of another size than annotated; restore them or correct the sizes: "
        "s1.jpg (320x400, not 320x77)"
    ]
    leak = examine(lambda: replace(whole, test=replace(whole.train)), published=False).findings.problems
    assert leak == [
        "4 pictures are in the training and in the test split; remove one: s1.jpg, s2.jpg, s3.jpg, s4.jpg"
    ]


def test_the_sheet_shows_boxes_in_their_colours(cuhk, tmp_path):
    file = tmp_path / "new" / "sheet.png"
    picture_sheet(cuhk_sysu(cuhk), file)
    pixels = np.asarray(Image.open(file).convert("RGB")).reshape(-1, 3)
    for colour in ("lime", "yellow", "red"):
        assert colour in COLOURS.values()
        assert (pixels == ImageColor.getrgb(colour)).all(axis=1).any()
