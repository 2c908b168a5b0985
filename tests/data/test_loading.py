"""Scenes become batches: what a network sees must be right, and the same however it is loaded."""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch

from psearch.boxes import clip
from psearch.data.loading import SceneLoader
from psearch.types import MEAN, STD, Scene, Split


def paint(sizes, index):
    """Black, with a white person at its box: picture content that tells where a box must lie."""
    height, width = sizes[index]
    picture = np.zeros((height, width, 3), np.uint8)
    picture[10:50, 20 + index % 7 : 36 + index % 7] = 255
    return picture


def split_of(sizes):
    scenes = [
        Scene(
            name=f"{index}",
            height=height,
            width=width,
            boxes=np.array([[20 + index % 7, 10, 36 + index % 7, 50]], np.float32),
            ids=np.array([index % 3]),
            ignore=np.array([False]),
        )
        for index, (height, width) in enumerate(sizes)
    ]
    return Split("train", scenes, partial(paint, tuple(sizes)))


LANDSCAPE = split_of([(64, 96)] * 20)


def raw(images):
    return images * torch.tensor(STD)[:, None, None] + torch.tensor(MEAN)[:, None, None]


def epoch(loader, number=0, start=0):
    loader.set_epoch(number, start)
    return list(loader)


def equal(one, other):
    return (
        one.scenes == other.scenes
        and torch.equal(one.images, other.images)
        and all(torch.equal(a, b) for a, b in zip(one.boxes, other.boxes, strict=True))
    )


@pytest.mark.parametrize("sides", [None, (48, 90), (80, 200)])
def test_boxes_stay_on_their_people_through_resize_and_flip(sides):
    for batch in epoch(SceneLoader(LANDSCAPE, batch_size=4, sides=sides, train=True, flip=0.5)):
        for image, boxes in zip(raw(batch.images), batch.boxes, strict=True):
            x1, y1, x2, y2 = boxes[0].round().int().tolist()
            assert image[:, y1 + 2 : y2 - 2, x1 + 2 : x2 - 2].min() > 0.99
            bright = (image.mean(0) > 0.5).nonzero()
            assert (bright.min(0).values - torch.tensor([y1, x1])).abs().max() <= 1
            assert (bright.max(0).values - torch.tensor([y2 - 1, x2 - 1])).abs().max() <= 1


def test_flip_mirrors_about_half_of_the_training_scenes_and_no_test_scene():
    lefts = torch.cat([boxes[:, 0] for n in range(5) for boxes in mirrored(n, train=True)])
    assert 0.3 < (lefts > 40).float().mean() < 0.7
    assert all(boxes[0, 0] < 40 for boxes in mirrored(0, train=False))


def mirrored(number, train):
    loader = SceneLoader(LANDSCAPE, batch_size=8, train=train)
    return [boxes for batch in epoch(loader, number) for boxes in batch.boxes]


@pytest.mark.parametrize(("flip", "least", "most"), [(0.0, 0, 0), (0.2, 0.1, 0.3), (1.0, 1, 1)])
def test_flip_is_the_probability_of_a_mirror_image(flip, least, most):
    """Of 200 training scenes."""
    loader = SceneLoader(LANDSCAPE, batch_size=20, train=True, flip=flip)
    lefts = torch.cat([boxes[:, 0] for n in range(10) for batch in epoch(loader, n) for boxes in batch.boxes])
    assert len(lefts) == 200 and least <= (lefts > 40).float().mean() <= most


@pytest.mark.parametrize(
    ("size", "sides", "expected"),
    [
        ((1080, 1920), (900, 1500), (844, 1500)),  # the longer side limits
        ((576, 720), (900, 1500), (900, 1125)),  # the shorter side decides
        ((720, 576), (900, 1500), (1125, 900)),  # a portrait likewise
        ((64, 96), None, (64, 96)),
    ],
)
def test_resize_follows_the_shorter_side_unless_the_longer_would_pass(size, sides, expected):
    (batch,) = SceneLoader(split_of([size]), batch_size=1, sides=sides)
    assert batch.sizes.tolist() == [list(expected)]
    assert batch.scales[0] * size[0] == pytest.approx(expected[0], abs=0.5)
    assert clip(batch.boxes[0], *expected).equal(batch.boxes[0])


def test_padding_is_zero_after_normalisation_and_a_multiple_of_16():
    (batch,) = SceneLoader(split_of([(60, 90), (70, 50)]), batch_size=2)
    assert batch.images.shape == (2, 3, 80, 96)
    assert batch.sizes.tolist() == [[60, 90], [70, 50]]
    assert batch.images[0, :, 60:].abs().sum() == 0 and batch.images[1, :, :, 50:].abs().sum() == 0
    assert torch.allclose(raw(batch.images)[0, :, 59, 89], torch.zeros(3), atol=1e-6)
    assert batch.images.is_contiguous(memory_format=torch.channels_last)


def test_an_epoch_visits_every_scene_once_in_an_order_of_its_own():
    loader = SceneLoader(LANDSCAPE, batch_size=8, train=True, seed=3)
    orders = [[index for batch in epoch(loader, number) for index in batch.scenes] for number in (0, 1, 0)]
    assert sorted(orders[0]) == list(range(20)) and len(loader) == 3
    assert orders[0] == orders[2] != orders[1]
    assert [batch.scenes for batch in SceneLoader(LANDSCAPE, batch_size=8)][0] == list(range(8))
    assert len(epoch(SceneLoader(LANDSCAPE, batch_size=8, train=True, drop_last=True))) == 2


def test_workers_and_a_resume_in_mid_epoch_change_nothing():
    arguments = {"batch_size": 4, "sides": (48, 90), "train": True, "multi_scale": (0.8, 1.0, 1.2), "seed": 5}
    alone = epoch(SceneLoader(LANDSCAPE, **arguments), number=2)
    helped = epoch(SceneLoader(LANDSCAPE, workers=2, **arguments), number=2)
    resumed = epoch(SceneLoader(LANDSCAPE, **arguments), number=2, start=3)
    assert all(equal(*pair) for pair in zip(alone, helped, strict=True))
    assert all(equal(*pair) for pair in zip(alone[3:], resumed, strict=True))


def test_skipped_batches_are_not_read():
    reads = []

    def read(index):
        reads.append(index)
        return LANDSCAPE.read(index)

    loader = SceneLoader(Split("train", LANDSCAPE.scenes, read), batch_size=8, train=True)
    (last,) = epoch(loader, start=2)
    assert reads == last.scenes


def test_loading_leaves_the_global_random_state_alone():
    torch.manual_seed(0)
    before = torch.get_rng_state()
    epoch(SceneLoader(LANDSCAPE, batch_size=8, train=True))
    assert torch.equal(before, torch.get_rng_state())


def test_multi_scale_draws_one_size_per_batch():
    loader = SceneLoader(LANDSCAPE, batch_size=2, train=True, multi_scale=(0.5, 1.0))
    batches = epoch(loader)
    assert {tuple(batch.images.shape[2:]) for batch in batches} == {(32, 48), (64, 96)}
    assert all(batch.scales.unique().numel() == 1 for batch in batches)


def test_grouping_by_aspect_keeps_portraits_and_landscapes_apart():
    split = split_of([(64, 96), (96, 64)] * 9)
    grouped = epoch(SceneLoader(split, batch_size=4, train=True, group_by_aspect=True))
    assert sorted(index for batch in grouped for index in batch.scenes) == list(range(18))
    assert all(batch.images.shape[2:] in {(64, 96), (96, 64)} for batch in grouped)


def test_the_cache_of_resized_pictures_is_read_instead_of_the_originals(tmp_path):
    def loader(split):
        return SceneLoader(split, batch_size=20, sides=(48, 90), cache=tmp_path)

    (plain,) = SceneLoader(LANDSCAPE, batch_size=20, sides=(48, 90))
    (first,) = loader(LANDSCAPE)
    (again,) = loader(Split("train", LANDSCAPE.scenes, lambda index: pytest.fail("read again")))
    assert len(list(tmp_path.glob("train/48x72/*.jpg"))) == 20
    assert equal(first, again)
    assert (raw(first.images) - raw(plain.images)).abs().mean() < 0.01


def test_scenes_without_people_and_without_anything_to_load():
    nobody = Scene("empty", 64, 96, np.zeros((0, 4), np.float32), np.zeros(0, int), np.zeros(0, bool))
    (batch,) = SceneLoader(Split("train", [nobody], LANDSCAPE.read), batch_size=2, train=True, flip=1.0)
    assert batch.boxes[0].shape == (0, 4) and batch.ids[0].dtype == torch.int64
    with pytest.raises(ValueError, match="no scenes to load"):
        SceneLoader(Split("val", [], LANDSCAPE.read), batch_size=2)
    with pytest.raises(ValueError, match="make batch_size smaller"):
        SceneLoader(LANDSCAPE, batch_size=64, train=True, drop_last=True)
    with pytest.raises(ValueError, match=r"the shorter and the longer one"):
        SceneLoader(LANDSCAPE, batch_size=2, sides=(900, 600))


def test_a_picture_of_another_size_than_annotated_is_refused_by_name():
    wrong = Split("train", LANDSCAPE.scenes, partial(paint, ((32, 48),) * 20))
    with pytest.raises(ValueError, match="'0'.*96x64"):
        list(SceneLoader(wrong, batch_size=1))


def refuse(index):
    raise ValueError(f"The picture {index} cannot be decoded")


@pytest.mark.parametrize("workers", [0, 1])
def test_what_a_worker_cannot_read_is_told_in_one_line(workers):
    split = replace(LANDSCAPE, read=refuse)
    with pytest.raises(ValueError) as error:
        list(SceneLoader(split, batch_size=4, workers=workers))
    assert str(error.value) == "The picture 0 cannot be decoded"
