"""Training pairs: all ordered ones of a person, evenly over people, from nothing but seed and epoch."""

from collections import Counter

import numpy as np
import pytest
import torch

from psearch.data.loading import SceneLoader
from psearch.data.pairs import PairLoader, PairSampler
from psearch.types import UNLABELLED, Scene, Split

SEEN = [[0, 1], [0, 2], [0, UNLABELLED], [1, 0], [2, 1], [3], [UNLABELLED], [2]]


def scene(index, ids):
    boxes = np.array([[10 * n + 1, 4, 10 * n + 9, 30] for n in range(len(ids))], np.float32).reshape(-1, 4)
    return Scene(f"s{index}", 32, 48, boxes, np.array(ids, np.int64), np.zeros(len(ids), bool))


SCENES = [scene(index, ids) for index, ids in enumerate(SEEN)]


def read(index):
    return np.random.default_rng(index).integers(0, 255, (32, 48, 3), dtype=np.uint8)


SPLIT = Split("train", SCENES, read)


def loader(**options):
    return PairLoader(SPLIT, **{"batch_size": 3, "seed": 1} | options)


def test_a_person_of_n_scenes_gives_n_times_n_minus_one_pairs():
    sampler = PairSampler(SCENES, count=8, seed=0)
    for identity, scenes in {0: 4, 1: 3, 2: 3, 3: 1}.items():
        pairs = sampler.pairs(identity)
        assert len(set(pairs)) == len(pairs) == scenes * (scenes - 1)
        for pair in pairs:
            assert pair.query != pair.gallery
            assert identity in SEEN[pair.query] and identity in SEEN[pair.gallery]


@pytest.mark.parametrize("negatives", [0.0, 0.25, 0.5])
def test_an_epoch_is_even_over_identities_and_has_its_share_of_negatives(negatives):
    sampler = PairSampler(SCENES, count=40, seed=3, negatives=negatives)
    for epoch in range(3):
        pairs = sampler.epoch(epoch)
        assert len(pairs) == 40
        absent = [pair for pair in pairs if pair.identity not in SEEN[pair.gallery]]
        present = [pair for pair in pairs if pair.identity in SEEN[pair.gallery]]
        assert len(absent) == 40 * negatives
        assert all(pair.identity in SEEN[pair.query] for pair in pairs)
        for kind, people in ((present, {0, 1, 2}), (absent, {0, 1, 2, 3})):
            counts = Counter(pair.identity for pair in kind)
            assert not kind or (set(counts) == people and max(counts.values()) - min(counts.values()) <= 1)


def test_no_pair_comes_again_before_all_of_its_person_came():
    pairs = PairSampler(SCENES, count=18, seed=0, negatives=0.0).epoch(0)  # 6 each, and two have just 6
    counts = Counter(pairs)
    assert max(counts.values()) == 1
    everyone = PairSampler(SCENES, count=1, seed=0)
    assert {pair for pair in pairs if pair.identity == 1} == set(everyone.pairs(1))


def test_pairs_depend_on_seed_and_epoch_alone():
    one, again = (PairSampler(SCENES, count=20, seed=5) for _ in range(2))
    assert [one.epoch(e) for e in (2, 0, 1)] == [again.epoch(e) for e in (2, 0, 1)]
    assert one.epoch(0) != one.epoch(1) != PairSampler(SCENES, count=20, seed=6).epoch(1)


def test_people_seen_once_only_are_refused():
    with pytest.raises(ValueError, match="student=oim"):
        PairSampler(SCENES[5:], count=3, seed=0)
    with pytest.raises(ValueError, match="negatives=1"):
        PairSampler(SCENES, count=3, seed=0, negatives=1)


def test_an_epoch_costs_as_many_steps_as_one_of_scenes():
    assert len(loader()) == len(list(loader())) == len(SceneLoader(SPLIT, batch_size=3, train=True)) == 3


def test_the_query_is_the_persons_box_in_the_same_transforms_as_the_scene():
    """Both sides come out as a `SceneLoader` brings those scenes in that epoch, mirrored or not."""
    pairs = loader()
    pairs.set_epoch(2)
    whole = SceneLoader(SPLIT, batch_size=1, seed=1, train=True)
    whole.set_epoch(2)
    alone = {batch.scenes[0]: batch for batch in whole}
    for batch, plan in zip(pairs, pairs._plans(), strict=True):
        for row, pair in enumerate(plan.pairs):
            searched, shown = alone[pair.gallery], alone[pair.query]
            torch.testing.assert_close(batch.images[row], searched.images[0])
            torch.testing.assert_close(batch.boxes[row], searched.boxes[0])
            torch.testing.assert_close(batch.query.images[row], shown.images[0])
            assert batch.query.ids[row] == pair.identity
            place = SEEN[pair.query].index(pair.identity)
            torch.testing.assert_close(batch.query.boxes[row], shown.boxes[0][place])


def test_sizes_and_scales_of_the_query_are_its_own():
    batch = next(iter(loader(sides=(64, 96), multi_scale=[0.5])))
    assert batch.query.scales.tolist() == [1.0] * 3 and batch.query.sizes.tolist() == [[32, 48]] * 3
    moved = batch.to("cpu")
    assert torch.equal(moved.query.boxes, batch.query.boxes)


@pytest.mark.parametrize("workers", [0, 2])
def test_a_resumed_epoch_goes_on_where_it_stopped(workers):
    whole, resumed = loader(multi_scale=[1.0, 0.5]), loader(multi_scale=[1.0, 0.5], workers=workers)
    whole.set_epoch(1)
    resumed.set_epoch(1, 1)
    for one, other in zip(list(whole)[1:], resumed, strict=True):
        assert torch.equal(one.images, other.images) and torch.equal(one.query.images, other.query.images)
        assert torch.equal(one.query.boxes, other.query.boxes) and one.scenes == other.scenes
