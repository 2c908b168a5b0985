"""Crops for a re-identification network: the right person, framed right, varied cheaply."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from psearch.data.crop_loading import CropLoader
from psearch.data.crops import Crops, cut, training_crops
from psearch.data.transforms import MEAN, STD
from psearch.types import Benchmark, Scene, Split

BOX = [30, 20, 50, 60]


def read(index):
    picture = np.zeros((80, 90, 3), np.uint8)
    picture[20:60, 30:50] = 40 * (index + 1)
    return picture


def scene(index, box=BOX):
    return Scene(
        name=f"{index}",
        height=80,
        width=90,
        boxes=np.array([box, [0, 0, 9, 9], [1, 1, 8, 8]], np.float32),
        ids=np.array([index, -1, 5]),
        ignore=np.array([False, False, True]),
    )


SPLIT = Split("train", [scene(index) for index in range(4)], read)


def raw(images):
    return images * torch.tensor(STD)[:, None, None] + torch.tensor(MEAN)[:, None, None]


def random_crops(identities=6, each=5):
    ids = np.repeat(np.arange(identities), each)
    pixels = np.random.default_rng(0).integers(0, 255, (len(ids), 3, 40, 20), dtype=np.uint8)
    return Crops(pixels, ids, (32, 16), (4, 2))


def test_a_crop_is_the_labelled_box_with_a_border_of_surroundings():
    crops = cut(SPLIT, size=(40, 20), margin=0.25)
    assert crops.ids.tolist() == [0, 1, 2, 3]  # neither the unlabelled nor the ignored box
    assert crops.images.shape == (4, 3, 60, 30) and crops.border == (10, 5)
    assert (crops.images[1, :, 10:50, 5:25] == 80).all()
    assert crops.images[1, :, :9].max() == 0 and crops.images[1, :, :, 26:].max() == 0


def test_beyond_the_picture_its_edge_is_repeated():
    picture = np.full((80, 90, 3), 200, np.uint8)
    bright = Split("train", [scene(0, box=[0, 20, 20, 60])], lambda index: picture)
    assert (cut(bright, size=(40, 20), margin=0.5).images == 200).all()


def test_without_training_crops_come_in_order_and_without_border():
    (batch,) = CropLoader(cut(SPLIT, size=(40, 20)), batch_size=8, train=False)
    expected = torch.arange(1, 5)[:, None, None, None] * 40 / 255
    assert torch.allclose(raw(batch.images), expected.expand(4, 3, 40, 20), atol=1e-5)
    assert batch.ids.tolist() == [0, 1, 2, 3]


def test_variations_depend_on_seed_epoch_and_batch_only():
    def batches(seed, number, start=0):
        loader = CropLoader(random_crops(), batch_size=8, seed=seed)
        loader.set_epoch(number, start)
        return list(loader)

    whole = batches(1, 3)
    assert all(torch.equal(a.images, b.images) for a, b in zip(whole, batches(1, 3), strict=True))
    assert all(torch.equal(a.images, b.images) for a, b in zip(whole[2:], batches(1, 3, 2), strict=True))
    assert not torch.equal(whole[0].images, batches(1, 4)[0].images)
    assert not torch.equal(whole[0].images, batches(2, 3)[0].images)
    assert sorted(id for batch in whole for id in batch.ids.tolist()) == random_crops().ids.tolist()


@pytest.mark.parametrize("variation", ["shift", "scale", "flip", "colour", "erase"])
def test_each_variation_changes_images_and_without_any_they_stay(variation):
    crops, off = random_crops(), {"shift": 0.0, "scale": 0.0, "flip": 0.0, "colour": 0.0, "erase": 0.0}
    (varied,) = CropLoader(crops, batch_size=64, **(off | {variation: 0.9}))
    (same,) = CropLoader(crops, batch_size=64, **off)
    (plain,) = CropLoader(crops, batch_size=64, train=False)
    order = np.lexsort(same.images[:, :, 0, 0].T.numpy()), np.lexsort(plain.images[:, :, 0, 0].T.numpy())
    assert torch.allclose(same.images[order[0]], plain.images[order[1]], atol=1e-3)
    assert (varied.images - same.images).abs().amax(dim=(1, 2, 3)).gt(0.05).float().mean() > 0.5


def test_erased_rectangles_hold_the_mean_colour():
    (batch,) = CropLoader(random_crops(), batch_size=64, erase=1.0)
    erased = (batch.images == 0).all(dim=1).float().mean(dim=(1, 2))
    assert erased.min() > 0.02 and erased.max() < 0.3


def test_balanced_batches_hold_as_many_crops_of_each_identity_and_all_identities_alike():
    loader = CropLoader(random_crops(identities=6, each=5), batch_size=6, per_identity=2)
    counts = np.zeros(6, int)
    for batch in loader:
        ids, times = batch.ids.unique(return_counts=True)
        assert times.tolist() == [2, 2, 2]
        counts[ids] += 1
    assert counts.max() - counts.min() <= 1
    with pytest.raises(ValueError, match="change batch_size or per_identity"):
        CropLoader(random_crops(identities=6), batch_size=64, per_identity=2)


def test_the_cache_gives_the_same_crops_and_knows_its_data_code_and_parameters(tmp_path, monkeypatch):
    benchmark = Benchmark("toy", "abc", 4, SPLIT, None, SPLIT)
    first = training_crops(benchmark, cache=tmp_path)
    unreadable = replace(benchmark, train=replace(SPLIT, read=None))
    again = training_crops(unreadable, cache=tmp_path)
    assert np.array_equal(first.images, again.images) and np.array_equal(first.ids, again.ids)
    assert (again.size, again.border) == (first.size, first.border)
    training_crops(benchmark, size=(32, 16), cache=tmp_path)
    training_crops(replace(benchmark, train_fingerprint="def"), cache=tmp_path)
    assert len(list(tmp_path.iterdir())) == 3
    monkeypatch.setattr("psearch.data.crops.code_digest", lambda *_: "another")
    training_crops(benchmark, cache=tmp_path)
    assert len(list(tmp_path.iterdir())) == 4


def test_damaged_crops_are_cut_again(tmp_path, caplog):
    benchmark = Benchmark("toy", "abc", 4, SPLIT, None, SPLIT)
    first = training_crops(benchmark, cache=tmp_path)
    (file,) = tmp_path.glob("*/crops.npz")
    whole = file.read_bytes()
    flipped = bytearray(whole)
    flipped[len(whole) // 2] ^= 1
    for damaged in (whole[:100], b"", bytes(flipped)):
        file.write_bytes(damaged)
        again = training_crops(benchmark, cache=tmp_path)
        assert (again.images == first.images).all() and file.read_bytes() == whole
    assert caplog.text.count("cannot be used and is made again") == 3


def test_a_split_without_labels_is_refused():
    nameless = [replace(scene(0), ids=np.full(3, -1))]
    with pytest.raises(ValueError, match="no labelled box"):
        cut(Split("train", nameless, read))


def test_a_last_training_batch_of_one_is_left_out_and_a_single_crop_refused():
    crops = Crops(np.zeros((5, 3, 10, 6), np.uint8), np.arange(5) % 2, (8, 4), (1, 1))
    assert [len(batch.ids) for batch in CropLoader(crops, batch_size=4)] == [4]
    assert [len(batch.ids) for batch in CropLoader(crops, batch_size=4, train=False)] == [4, 1]
    assert [len(batch.ids) for batch in CropLoader(crops, batch_size=3)] == [3, 2]
    with pytest.raises(ValueError, match="but one labelled box"):
        CropLoader(Crops(crops.images[:1], crops.ids[:1], (8, 4), (1, 1)), batch_size=4)
