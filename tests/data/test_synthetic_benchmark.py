"""The synthetic benchmark as a whole: its protocol, its cache and what it says to wrong wishes."""

from __future__ import annotations

import pickle
import shutil
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from psearch.data.synthetic import cache
from psearch.data.synthetic.benchmark import synthetic
from psearch.types import UNLABELLED, Benchmark, Split
from tests.colleague import done_by_a_colleague, readable_folder

TINY: dict[str, Any] = {
    "height": 64,
    "width": 96,
    "train_scenes": 12,
    "val_scenes": 12,
    "test_scenes": 16,
    "train_identities": 8,
    "val_identities": 6,
    "test_identities": 8,
    "queries": 10,
    "gallery_size": -1,
    "workers": 1,
}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("synthetic")


@pytest.fixture(scope="module")
def tiny(root: Path) -> Benchmark:
    return synthetic(root, **TINY)


def named(split: Split) -> set[int]:
    return {int(i) for scene in split.scenes for i in scene.ids if i != UNLABELLED}


def test_no_identity_is_in_two_splits_and_training_ids_are_dense(tiny: Benchmark) -> None:
    assert tiny.val is not None
    train, val, test = named(tiny.train), named(tiny.val), named(tiny.test)
    assert train == set(range(tiny.identities))
    assert not (train & val or train & test or val & test)


def test_galleries_hold_the_person_first_and_never_the_querys_own_scene(root: Path) -> None:
    split = synthetic(root, **{**TINY, "gallery_size": 9}).test
    assert 0 < len(split.queries) <= 10
    for query in split.queries:
        holds = [query.identity in split.scenes[i].ids for i in query.gallery]
        assert query.scene not in query.gallery
        assert len(query.gallery) == 9 == len(set(query.gallery.tolist()))
        assert holds == sorted(holds, reverse=True) and holds[0]
        rest = set(range(len(split.scenes))) - set(query.gallery.tolist()) - {query.scene}
        assert not any(query.identity in split.scenes[i].ids for i in rest)
        row = split.scenes[query.scene].ids.tolist().index(query.identity)
        np.testing.assert_array_equal(query.box, split.scenes[query.scene].boxes[row])


def test_a_smaller_gallery_is_the_beginning_of_a_larger_one(root: Path, tiny: Benchmark) -> None:
    small = synthetic(root, **{**TINY, "gallery_size": 8})
    assert small.fingerprint != tiny.fingerprint
    for few, all_others in zip(small.test.queries, tiny.test.queries, strict=True):
        assert few.identity == all_others.identity
        assert few.gallery.tolist() == all_others.gallery[:8].tolist()


def test_queries_are_spread_over_the_identities(tiny: Benchmark) -> None:
    first = [query.identity for query in tiny.test.queries[: TINY["test_identities"]]]
    assert len(set(first)) == len(first)


def test_pixels_can_be_read_in_another_process(tiny: Benchmark) -> None:
    picture = tiny.test.read(3)
    copy = pickle.loads(pickle.dumps(tiny.test.read))
    np.testing.assert_array_equal(picture, copy(3))
    assert picture.shape == (64, 96, 3) and picture.flags.writeable


def test_the_second_load_draws_nothing(root: Path, tiny: Benchmark, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "render_split", None)
    again = synthetic(root, **TINY)
    assert again.fingerprint == tiny.fingerprint
    np.testing.assert_array_equal(again.train.read(5), tiny.train.read(5))


def test_processes_draw_what_one_process_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "SCENES_WORTH_A_PROCESS", 1)
    plan = cache.Plan("test", 2, scenes=10, identities=8, first=0)
    recipe = cache.Recipe(0, 64, 96, (plan,))
    for alone, among in zip(
        cache.render_split(recipe, plan, 1), cache.render_split(recipe, plan, 2), strict=True
    ):
        np.testing.assert_array_equal(alone.pixels, among.pixels)


def test_of_two_jobs_that_want_it_at_once_one_draws(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[str] = []
    render = cache.render_split
    monkeypatch.setattr(
        cache, "render_split", lambda recipe, plan, n: drawn.append(plan.name) or render(recipe, plan, n)
    )
    jobs = [threading.Thread(target=synthetic, args=(tmp_path,), kwargs=TINY) for _ in range(2)]
    for job in jobs:
        job.start()
    for job in jobs:
        job.join()
    assert sorted(drawn) == ["test", "train", "val"]


def test_an_interrupted_drawing_is_not_taken_for_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(recipe: cache.Recipe, plan: cache.Plan, workers: int) -> Any:
        yield from list(render(recipe, plan, workers))[:3]
        raise KeyboardInterrupt

    render = cache.render_split
    with monkeypatch.context() as patch:
        patch.setattr(cache, "render_split", interrupted)
        with pytest.raises(KeyboardInterrupt):
            synthetic(tmp_path, **TINY)
    assert not [path for path in tmp_path.iterdir() if path.is_dir()]
    assert named(synthetic(tmp_path, **TINY).train) == set(range(TINY["train_identities"]))


@pytest.mark.parametrize("name", ["test.npy", "train.npz", "contents.json"])
def test_damaged_data_are_drawn_again(tmp_path: Path, name: str, caplog: pytest.LogCaptureFixture) -> None:
    synthetic(tmp_path, **TINY)
    [folder] = tmp_path.glob("synthetic-*")
    content = (folder / name).read_bytes()
    (folder / name).write_bytes(content[: len(content) // 2])
    synthetic(tmp_path, **TINY)
    assert (folder / name).read_bytes() == content and "drawn again" in caplog.text


def test_a_colleague_reads_what_is_drawn_and_cannot_be_written() -> None:
    with readable_folder() as folder:
        ours = synthetic(folder / "data", **TINY)

        def work() -> None:
            theirs = synthetic(folder / "data", **TINY)
            assert (theirs.train.read(0) == ours.train.read(0)).all()

        assert done_by_a_colleague(folder, work) == ""


def test_what_a_killed_process_has_drawn_goes_and_other_names_stay(tmp_path: Path) -> None:
    synthetic(tmp_path, **TINY)
    [folder] = tmp_path.glob("synthetic-*")
    litter, other = (tmp_path / f".{name}.0123abcd.tmp" for name in (folder.name, "synthetic-other"))
    for path in (litter, other):
        path.mkdir()
    shutil.rmtree(folder)
    synthetic(tmp_path, **TINY)
    assert folder.exists() and other.exists() and not litter.exists()


@pytest.mark.parametrize(
    "wish, answer",
    [
        ({"train_scenes": 2}, "train_scenes=2.*at least 4 scenes"),
        ({"val_identities": 3}, "val_identities=3.*at least 4"),
        ({"gallery_size": 100}, "gallery_size=100"),
        ({"gallery_size": 1}, "gallery_size=1"),
        ({"height": 20}, "at least 48"),
    ],
)
def test_sizes_that_cannot_be_had(root: Path, wish: dict[str, int], answer: str) -> None:
    with pytest.raises(ValueError, match=answer):
        synthetic(root, **{**TINY, **wish})


def test_what_decides_the_data_decides_the_fingerprint(tmp_path: Path, tiny: Benchmark) -> None:
    elsewhere = synthetic(tmp_path, **TINY)
    assert elsewhere.fingerprint == tiny.fingerprint
    assert synthetic(tmp_path, **{**TINY, "seed": 1}).fingerprint != tiny.fingerprint


def test_other_galleries_are_those_of_another_gallery_size(root: Path, tiny: Benchmark) -> None:
    other = synthetic(root, **{**TINY, "gallery_size": 9})
    assert tiny.test.gallery is not None
    answered = [query.gallery.tolist() for query in tiny.test.gallery(9)]
    assert answered == [query.gallery.tolist() for query in other.test.queries]
    assert other.fingerprint != tiny.fingerprint and other.train_fingerprint == tiny.train_fingerprint
    with pytest.raises(ValueError, match="no galleries 'occlusion' here"):
        tiny.test.gallery("occlusion")
