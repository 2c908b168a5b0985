"""PRW and PRW-mini are read right on the published layout alone, its known oddities included."""

import numpy as np
import pytest
from published_layouts import nasty_prw, picture, write_prw
from scipy.io import savemat

from psearch.data.prw import MINI, prw, prw_mini
from psearch.data.scenes import renumbered, scene
from psearch.types import UNLABELLED


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return nasty_prw(tmp_path_factory.mktemp("prw"))


@pytest.fixture
def fresh(tmp_path):
    return nasty_prw(tmp_path / "prw")


def test_training_labels_are_dense_although_the_ids_are_not(root):
    benchmark = prw(root)
    assert benchmark.identities == 3
    assert [scene.ids.tolist() for scene in benchmark.train.scenes] == [
        [0, -1],
        [2, 1],
        [-1],
    ]  # 478, 480, 932
    assert [scene.camera for scene in benchmark.train.scenes] == [1, 2, 6]
    assert [(scene.height, scene.width) for scene in benchmark.train.scenes][1:] == [(180, 320), (144, 180)]


def test_the_published_training_ids_become_483_labels():
    """Public readers take id - 1 of 482, and so address the queue with persons 483 and 932."""
    published = np.array([*range(1, 479), 480, 481, 482, 483, 932, -2])
    boxes = np.tile([0, 0, 9, 9], (len(published), 1))
    (relabelled,), count = renumbered([scene("c1s1_1.jpg", (20, 20), boxes, published)])
    assert count == 483
    assert relabelled.ids.tolist() == [*range(483), UNLABELLED]


def test_all_three_variable_names_are_read_and_test_ids_are_those_of_the_files(root):
    test = prw(root).test.scenes
    assert [scene.ids.tolist() for scene in test] == [[479, 484], [479, 479], [484, 478], [933], [933, 479]]


def test_boxes_are_exact_and_cut_to_the_picture(root):
    benchmark = prw(root)
    assert np.allclose(benchmark.train.scenes[1].boxes[0], [10.6, 20.4, 50.9, 100.6])
    assert np.allclose(benchmark.test.scenes[0].boxes[0], [0, 20, 36.3, 100.5])
    assert benchmark.test.scenes[2].boxes[1].tolist() == [290, 20, 320, 100]
    assert len(benchmark.test.scenes[4].boxes) == 2  # one had no height
    query = benchmark.test.queries[0]
    assert np.array_equal(query.box, benchmark.test.scenes[0].boxes[0])


def test_published_boxes_are_whole_pixels_moved_at_the_left_edge(root):
    benchmark = prw(root, published_boxes=True)
    assert benchmark.train.scenes[1].boxes[0].tolist() == [10, 20, 50, 100]
    assert benchmark.test.scenes[0].boxes[0].tolist() == [0, 20, 40, 100]
    assert benchmark.test.scenes[2].boxes[1].tolist() == [290, 20, 330, 100]
    assert benchmark.test.queries[0].box.tolist() == [0, 20, 36, 100]
    assert benchmark.fingerprint != prw(root).fingerprint


def test_queries_search_all_other_frames(root):
    benchmark = prw(root)
    assert [query.identity for query in benchmark.test.queries] == [479, 484, 933]
    galleries = [query.gallery.tolist() for query in benchmark.test.queries]
    assert galleries == [[1, 2, 3, 4], [0, 1, 3, 4], [0, 1, 2, 3]]
    assert benchmark.gallery_size == -1


def test_line_ends_do_not_matter(fresh):
    before = prw(fresh).test.queries
    file = fresh / "query_info.txt"
    assert b"\r\n" in file.read_bytes()
    file.write_bytes(file.read_bytes().replace(b"\r\n", b"\n").rstrip())
    after = prw(fresh).test.queries
    assert [(q.scene, q.identity, q.box.tolist()) for q in before] == [
        (q.scene, q.identity, q.box.tolist()) for q in after
    ]


def test_the_cache_gives_the_same(fresh, tmp_path):
    plain, _, again = prw(fresh), prw(fresh, cache=tmp_path / "c"), prw(fresh, cache=tmp_path / "c")
    for one, other in zip(plain.test.scenes, again.test.scenes, strict=True):
        assert one.name == other.name and np.array_equal(one.boxes, other.boxes)
        assert np.array_equal(one.ids, other.ids)
    assert [q.gallery.tolist() for q in plain.test.queries] == [
        q.gallery.tolist() for q in again.test.queries
    ]


def test_prw_mini_asks_its_30_queries_in_all_test_frames(tmp_path):
    """The real query list on stand-in frames."""
    lines = MINI.read_text().split("\n")
    rows = [line.split() for line in lines if line]
    test = {frame: [[float(value) for value in values]] for *values, frame in rows}
    for frame in [*test, "c1s1_000001"]:
        picture(tmp_path / "frames" / f"{frame}.jpg", 108, 192)
    write_prw(
        tmp_path, train={"c1s1_000001": [[1, 5, 5, 20, 40]]}, test=test, queries=["broken, and not read"]
    )
    benchmark = prw_mini(tmp_path)
    queries = benchmark.test.queries
    assert benchmark.name == "prw_mini" and len(queries) == 30
    assert (queries[0].identity, queries[-1].identity) == (484, 906)
    assert benchmark.test.scenes[queries[0].scene].name == "c2s1_159941.jpg"
    assert benchmark.test.scenes[queries[-1].scene].name == "c3s2_125794.jpg"
    assert all(len(query.gallery) == len(test) - 1 for query in queries)


@pytest.mark.parametrize(
    ("mistake", "message"),
    [
        (lambda root: (root / "frame_test.mat").unlink(), "frame_test.mat: set data.root"),
        (lambda root: (root / "query_info.txt").unlink(), "query_info.txt: set data.root"),
        (
            lambda root: (root / "query_info.txt").write_text("1 2 3 c1s1_001001"),
            "query_info.txt, line 1: '1 2 3",
        ),
        (
            lambda root: (root / "query_info.txt").write_text("1 2 3 4 5 c9s9_1"),
            "with one of the test frames",
        ),
        (lambda root: (root / "query_info.txt").write_text("1 2 nan 4 5 c1s1_001001"), "line 1"),
        (
            lambda root: (root / "annotations" / "c1s1_001026.jpg.mat").unlink(),
            "c1s1_001026.jpg.mat: set data.root",
        ),
        (
            lambda root: savemat(root / "annotations" / "c1s1_001026.jpg.mat", {"boxes": 1}),
            "holds no variable box_new or anno_file or anno_previous",
        ),
        (
            lambda root: savemat(root / "annotations" / "c1s1_001026.jpg.mat", {"box_new": np.ones((2, 4))}),
            "no rows of id, x, y, w, h",
        ),
        (
            lambda root: (root / "frames" / "c1s1_001026.jpg").unlink(),
            "lacks readable pictures c1s1_001026.jpg",
        ),
    ],
)
def test_missing_and_damaged_files_are_named(fresh, mistake, message):
    mistake(fresh)
    with pytest.raises(ValueError, match=message):
        prw(fresh)


def test_annotations_parsed_by_other_code_are_parsed_again(root, tmp_path, monkeypatch):
    for code in ("one", "another", "another"):
        monkeypatch.setattr("psearch.data.prw.code_digest", lambda *_, code=code: code)
        prw(root, cache=tmp_path)
    assert len(list(tmp_path.glob("*/annotations.npz"))) == 2
