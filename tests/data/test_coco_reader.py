"""Your own scenes as COCO-style JSON: read right, and every mistake named."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from psearch.data.coco import coco

STREET = Path("../shared/data/street_mini")


def write(root, name, content):
    (root / f"{name}.json").write_text(json.dumps(content))


def read(root, name):
    return json.loads((root / f"{name}.json").read_text())


def images(first, count):
    return [
        {"id": number, "file_name": f"{number}.png", "width": 40, "height": 30, "camera": number % 2}
        for number in range(first, first + count)
    ]


@pytest.fixture
def root(tmp_path):
    """Two training pictures with persons 7 and 30, three test pictures with person 4 in two of them."""
    (tmp_path / "images").mkdir()
    for number in range(1, 6):
        picture = np.full((30, 40, 3), 20 * number, np.uint8)
        Image.fromarray(picture).save(tmp_path / "images" / f"{number}.png")
    train = [
        {"id": 1, "image_id": 1, "bbox": [5, 5, 10, 20], "person_id": 30},
        {"id": 2, "image_id": 1, "bbox": [-3, 5, 10, 50], "person_id": 7},
        {"id": 3, "image_id": 2, "bbox": [5.5, 5, 10, 20], "person_id": 7, "ignore": 0},
        {"id": 4, "image_id": 2, "bbox": [0, 0, 9, 9], "ignore": 1},
        {"id": 5, "image_id": 2, "bbox": [9, 9, 0, 9], "person_id": -1},
    ]
    test = [
        {"id": 11, "image_id": 3, "bbox": [5, 5, 10, 20], "person_id": 4},
        {"id": 12, "image_id": 4, "bbox": [8, 5, 10, 20], "person_id": 4},
        {"id": 13, "image_id": 5, "bbox": [5, 5, 10, 20], "person_id": -1},
    ]
    write(tmp_path, "train", {"images": images(1, 2), "annotations": train})
    write(tmp_path, "test", {"images": images(3, 3), "annotations": test})
    write(tmp_path, "queries", {"queries": [{"id": 0, "annotation_id": 11}]})
    return tmp_path


def test_scenes_identities_and_queries(root):
    benchmark = coco(root)
    first, second = benchmark.train.scenes
    assert benchmark.identities == 2
    assert first.ids.tolist() == [1, 0] and second.ids.tolist() == [0, -1]  # 7 -> 0, 30 -> 1
    assert first.boxes.tolist() == [[5, 5, 15, 25], [0, 5, 7, 30]]  # cut to the picture
    assert second.ignore.tolist() == [False, True] and len(second.boxes) == 2  # no box without area
    assert (first.camera, second.camera) == (1, 0)
    (query,) = benchmark.test.queries
    assert (query.scene, query.identity, query.gallery.tolist()) == (0, 4, [1, 2])
    assert query.box.tolist() == [5, 5, 15, 25]
    assert benchmark.gallery_size == -1 and benchmark.val is None
    assert (benchmark.test.read(2) == 100).all()


def test_an_explicit_gallery_keeps_its_order(root):
    write(root, "queries", {"queries": [{"id": 0, "annotation_id": 11, "gallery": [5, 4, 3]}]})
    benchmark = coco(root)
    assert benchmark.test.queries[0].gallery.tolist() == [2, 1, 0] and benchmark.gallery_size == 3


def test_a_validation_split_is_read_where_there_is_one(root):
    write(root, "val", read(root, "test"))
    with pytest.raises(ValueError, match="queries_val.json"):
        coco(root)
    write(root, "queries_val", read(root, "queries"))
    assert len(coco(root).val.queries) == 1


def test_the_fingerprint_follows_annotations_and_pictures_but_not_the_place(root, tmp_path):
    before = coco(root).fingerprint
    moved = root.rename(tmp_path.parent / f"{tmp_path.name}-moved")
    assert coco(moved, sides=[60, 80]).fingerprint == before
    Image.fromarray(np.zeros((30, 40, 3), np.uint8)).save(moved / "images" / "1.png")
    Image.effect_noise((40, 30), 50).convert("RGB").save(moved / "images" / "2.png")
    other = coco(moved).fingerprint
    write(moved, "queries", {"queries": [{"id": 0, "annotation_id": 12}]})
    assert len({before, other, coco(moved).fingerprint}) == 3


def change(root, name, key, index, **values):
    content = read(root, name)
    content[key][index].update(values)
    write(root, name, content)


@pytest.mark.parametrize(
    ("mistake", "message"),
    [
        (lambda root: (root / "train.json").unlink(), "train.json: set data.root"),
        (lambda root: (root / "test.json").write_text("{"), "test.json is not valid JSON"),
        (lambda root: write(root, "queries", []), "'queries': add it"),
        (lambda root: write(root, "queries", {"queries": []}), "holds no query"),
        (lambda root: change(root, "train", "annotations", 0, image_id=99), "1 belongs to image 99"),
        (lambda root: change(root, "train", "annotations", 0, bbox=[1, 2, 3]), "annotation 1 has the bbox"),
        (lambda root: change(root, "train", "annotations", 0, bbox=None), "annotation 1 has no 'bbox'"),
        (lambda root: change(root, "train", "annotations", 0, person_id=1.5), "person_id 1.5.*whole number"),
        (lambda root: change(root, "train", "images", 0, id=2), "two images have the same id"),
        (lambda root: change(root, "test", "annotations", 1, id=11), "two annotations have the id 11"),
        (lambda root: change(root, "train", "images", 0, width=None), "image 1 has no 'width'"),
        (lambda root: change(root, "queries", "queries", 0, annotation_id=99), "asks for annotation 99"),
        (lambda root: change(root, "queries", "queries", 0, annotation_id=13), "without a person_id"),
        (lambda root: change(root, "queries", "queries", 0, gallery=[77]), "image 77 in its gallery"),
        (lambda root: change(root, "queries", "queries", 0, gallery=[5]), "person 4, who is in no picture"),
        (lambda root: change(root, "test", "annotations", 1, person_id=-1), "person 4, who is in no picture"),
        (lambda root: (root / "images" / "4.png").unlink(), "images lacks readable pictures 4.png: put"),
    ],
)
def test_every_mistake_is_one_sentence_that_names_it(root, mistake, message):
    mistake(root)
    with pytest.raises(ValueError, match=message):
        coco(root)


def test_a_truncated_picture_is_named_when_it_is_read(root):
    file = root / "images" / "1.png"
    file.write_bytes(file.read_bytes()[:50])
    with pytest.raises(ValueError, match="1.png cannot be decoded"):
        coco(root).train.read(0)


@pytest.mark.skipif(not STREET.exists(), reason=f"the real pictures are not at {STREET}")
def test_street_mini():
    benchmark = coco(STREET)
    assert (len(benchmark.train.scenes), len(benchmark.test.scenes)) == (109, 65)
    assert benchmark.identities == 42 and len(benchmark.test.queries) == 38
    assert sum(scene.ignore.sum() for scene in benchmark.train.scenes) == 461
    for split in (benchmark.train, benchmark.test):
        scene = split.scenes[7]
        assert split.read(7).shape == (scene.height, scene.width, 3)
