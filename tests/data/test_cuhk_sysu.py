"""CUHK-SYSU is read right on the published layout alone, its known oddities included."""

from dataclasses import replace

import numpy as np
import pytest
from published_layouts import nasty_cuhk_sysu, write_cuhk_sysu
from scipy.io import loadmat, savemat

from psearch.data.cuhk_sysu import cuhk_sysu


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return nasty_cuhk_sysu(tmp_path_factory.mktemp("cuhk_sysu"))


@pytest.fixture
def fresh(tmp_path):
    return nasty_cuhk_sysu(tmp_path / "cuhk_sysu")


def by_name(split):
    return {scene.name: scene for scene in split.scenes}


def test_the_writer_makes_what_scipy_finds_in_the_real_files(root):
    record = loadmat(root / "annotation/test/train_test/TestG50.mat")["TestG50"].squeeze()[0]
    assert record["Query"]["idlocate"][0, 0].dtype == np.uint8
    assert record["Gallery"].squeeze()["idlocate"][-1].shape == (1, 0)
    assert loadmat(root / "annotation/test/train_test/Train.mat")["Train"].squeeze()[0][0, 0][2].shape == (
        1,
        2,
    )


def test_the_training_set_is_what_is_not_in_the_pool(root):
    benchmark = cuhk_sysu(root)
    assert list(by_name(benchmark.train)) == ["s1.jpg", "s2.jpg", "s3.jpg", "s4.jpg"]
    assert [scene.name for scene in benchmark.test.scenes] == [f"s{n}.jpg" for n in range(5, 12)]
    assert benchmark.identities == 2 and benchmark.val is None and benchmark.sides == (900, 1500)
    assert (benchmark.train.scenes[1].height, benchmark.train.scenes[1].width) == (300, 500)
    assert benchmark.train.read(1).shape == (300, 500, 3)


def test_boxes_do_not_overflow_and_those_without_area_or_beyond_the_edge_are_mended(root):
    scenes = by_name(cuhk_sysu(root).train)
    assert scenes["s1.jpg"].boxes.tolist() == [[200, 40, 260, 160], [5, 20, 45, 110]]
    assert len(scenes["s3.jpg"].boxes) == 1
    assert scenes["s4.jpg"].boxes[1].tolist() == [290, 50, 320, 170]


def test_ids_come_by_exact_equality_of_boxes_and_may_occur_twice_in_a_picture(root):
    benchmark = cuhk_sysu(root)
    train, test = by_name(benchmark.train), by_name(benchmark.test)
    assert train["s1.jpg"].ids.tolist() == [0, -1]
    assert train["s2.jpg"].ids.tolist() == [0, 1, 1]
    assert train["s3.jpg"].ids.tolist() == [-1]
    assert test["s5.jpg"].ids.tolist() == [0, 1]
    assert test["s7.jpg"].ids.tolist() == [1, 2, 2]
    assert test["s9.jpg"].ids.tolist() == [-1]


def galleries(benchmark):
    names = [scene.name.removesuffix(".jpg") for scene in benchmark.test.scenes]
    return [[names[index] for index in query.gallery] for query in benchmark.test.queries]


def test_galleries_are_as_published_with_repetitions_and_the_own_picture(root):
    benchmark = cuhk_sysu(root, gallery_size=50)
    assert galleries(benchmark) == [
        ["s6", "s9", "s10"],
        ["s7", "s7", "s9"],
        ["s7", "s7", "s10"],
        ["s8", "s8"],
    ]
    assert [query.identity for query in benchmark.test.queries] == [0, 1, 2, 3]
    assert benchmark.test.queries[1].box.tolist() == [130, 30, 180, 130]
    assert [query.scene for query in benchmark.test.queries] == [0, 0, 1, 3]
    assert galleries(cuhk_sysu(root, gallery_size=100))[0] == ["s6", "s9", "s10", "s11"]


def test_the_whole_pool_is_the_smallest_protocol_and_every_other_picture_but_the_own(root):
    benchmark = cuhk_sysu(root, gallery_size=-1)
    first, second, _, last = galleries(benchmark)
    assert first == ["s6", "s9", "s10", "s7", "s8", "s11"]
    assert second == ["s7", "s7", "s9", "s6", "s8", "s10", "s11"]
    assert last == ["s8", "s8", "s5", "s6", "s7", "s9", "s10", "s11"]  # its own was listed, so it stays
    assert benchmark.gallery_size == -1


@pytest.mark.parametrize(("subset", "identity"), [("occlusion", 2), ("low_resolution", 1)])
def test_subsets_ask_for_the_same_people_in_galleries_of_their_own(root, subset, identity):
    benchmark = cuhk_sysu(root, subset=subset)
    assert benchmark.name == f"cuhk_sysu_{subset}"
    assert [query.identity for query in benchmark.test.queries] == [identity]
    assert galleries(benchmark)[0][-1] == "s11"


def test_gallery_size_and_subset_that_were_never_published_are_refused(root):
    for wrong in ({"gallery_size": 60}, {"subset": "blurred"}, {"subset": "occlusion", "gallery_size": 50}):
        with pytest.raises(ValueError, match="50, 100, 500, 1000, 2000, 4000 or -1"):
            cuhk_sysu(root, **wrong)


def test_the_cache_gives_the_same_and_is_left_when_the_files_change(fresh, tmp_path):
    plain, first = cuhk_sysu(fresh), cuhk_sysu(fresh, cache=tmp_path / "cache")
    again = cuhk_sysu(fresh, cache=tmp_path / "cache")
    for one, other in ((plain, first), (plain, again)):
        assert one.fingerprint == other.fingerprint and galleries(one) == galleries(other)
        for a, b in zip(
            [*one.train.scenes, *one.test.scenes], [*other.train.scenes, *other.test.scenes], strict=True
        ):
            assert (a.name, a.height, a.width, a.camera) == (b.name, b.height, b.width, b.camera)
            assert np.array_equal(a.boxes, b.boxes) and np.array_equal(a.ids, b.ids)
            assert np.array_equal(a.ignore, b.ignore)
        for a, b in zip(one.test.queries, other.test.queries, strict=True):
            assert (a.scene, a.identity) == (b.scene, b.identity) and np.array_equal(a.box, b.box)
    assert cuhk_sysu(fresh, gallery_size=50).fingerprint != plain.fingerprint
    savemat(
        fresh / "annotation" / "pool.mat", {"pool": loadmat(fresh / "annotation" / "pool.mat")["pool"][:-1]}
    )
    with pytest.raises(ValueError, match=r"names s11.jpg, which is not in pool.mat"):
        cuhk_sysu(fresh, cache=tmp_path / "cache")


def test_damaged_annotations_are_parsed_again(fresh, tmp_path, caplog):
    first = cuhk_sysu(fresh, cache=tmp_path)
    (file,) = tmp_path.glob("*/annotations.npz")
    whole = file.read_bytes()
    for damaged in (whole[:200], b""):
        file.write_bytes(damaged)
        assert cuhk_sysu(fresh, cache=tmp_path).fingerprint == first.fingerprint
        assert len(file.read_bytes()) == len(whole)
    assert caplog.text.count("cannot be used and is made again") == 2


@pytest.mark.parametrize(
    ("mistake", "message"),
    [
        (lambda root: (root / "annotation" / "Images.mat").unlink(), "Images.mat: set data.root"),
        (lambda root: (root / "annotation" / "pool.mat").write_bytes(b"MATLAB"), "pool.mat cannot be read"),
        (
            lambda root: savemat(root / "annotation/test/train_test/TestG50.mat", {"TestG": 1}),
            "TestG50.mat holds no variable TestG50",
        ),
        (
            lambda root: savemat(root / "annotation/test/train_test/TestG100.mat", {"TestG100": [1.0]}),
            "TestG100.mat is not laid out as published",
        ),
        (lambda root: (root / "Image" / "SSM" / "s3.jpg").unlink(), "lacks readable pictures s3.jpg"),
        (
            lambda root: (root / "Image" / "SSM" / "s6.jpg").write_bytes(b"no"),
            "lacks readable pictures s6.jpg",
        ),
    ],
)
def test_missing_and_damaged_files_are_named(fresh, mistake, message):
    mistake(fresh)
    with pytest.raises(ValueError, match=message):
        cuhk_sysu(fresh)


def test_an_identity_at_no_box_is_logged_and_a_search_for_it_refused(tmp_path, caplog):
    fresh = nasty_cuhk_sysu(tmp_path)
    wrong = {"boxes": {f"s{n}.jpg": [[30, 30, 50, 100]] for n in range(1, 12)}, "pool": ["s5.jpg", "s6.jpg"]}
    good = (("s5.jpg", [30, 30, 50, 100]), [("s6.jpg", [30, 30, 50, 100])])
    bad = (("s5.jpg", [30, 30, 51, 100]), [("s6.jpg", [30, 30, 50, 100])])
    train = [[("s1.jpg", [30, 30, 50, 100]), ("s2.jpg", [31, 30, 50, 100])]]
    write_cuhk_sysu(fresh, **wrong, train=train, protocols={"TestG50": [good]})
    assert by_name(cuhk_sysu(fresh, gallery_size=50).train)["s2.jpg"].ids.tolist() == [-1]
    assert "1 boxes of Train.mat are not in Images.mat, the first in s2.jpg" in caplog.text
    write_cuhk_sysu(fresh, **wrong, train=train, protocols={"TestG50": [good], "TestG100": [bad]})
    with pytest.raises(ValueError, match="search 0 is for nobody of TestG50.mat"):
        cuhk_sysu(fresh, gallery_size=100)


def test_a_test_split_can_be_replaced_for_several_galleries_from_one_pass(root):
    """Scenes are the same, in the same order, for every gallery size: detections can be shared."""
    small, large = cuhk_sysu(root, gallery_size=50), cuhk_sysu(root, gallery_size=-1)
    assert replace(small.test, queries=large.test.queries).queries == large.test.queries
    assert [scene.name for scene in small.test.scenes] == [scene.name for scene in large.test.scenes]


def test_the_split_answers_every_published_gallery_of_the_same_scenes(root, tmp_path):
    main = cuhk_sysu(root, cache=tmp_path)
    for name, other in (
        (50, cuhk_sysu(root, gallery_size=50)),
        ("occlusion", cuhk_sysu(root, subset="occlusion")),
    ):
        answered = main.test.gallery(name)
        assert [query.gallery.tolist() for query in answered] == [
            q.gallery.tolist() for q in other.test.queries
        ]
    with pytest.raises(ValueError, match="no galleries of 100 with the subset dark"):
        main.test.gallery("dark")


def test_galleries_do_not_change_what_is_trained_on_but_sides_do(root):
    sizes = {cuhk_sysu(root, gallery_size=size).train_fingerprint for size in (50, 100, -1)}
    assert len(sizes) == 1 and cuhk_sysu(root, sides=[64, 112]).train_fingerprint not in sizes
