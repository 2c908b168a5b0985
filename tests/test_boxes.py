"""Box arithmetic that several rooms share."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from psearch.boxes import RegionTargets, best_of_each, clip, decode, encode, match, region_targets
from tests import toys


def some(count: int) -> torch.Tensor:
    corner = torch.rand(count, 2) * 40
    return torch.cat([corner, corner + 2 + torch.rand(count, 2) * 30], dim=1)


def test_all_images_in_one_go_equal_image_by_image() -> None:
    torch.manual_seed(0)
    boxes = torch.stack([some(50) for _ in range(4)])
    targets = [some(3), some(0), some(1), some(5)]
    ignore = [torch.zeros(len(own), dtype=torch.bool) for own in targets]
    ignore[3][:2] = True
    best, overlap = best_of_each(boxes, targets, ignore)
    for image in range(4):
        found = match(boxes[image], targets[image], ignore[image])
        torch.testing.assert_close(overlap[image], found.iou)
        hit = found.iou > 0
        assert hit.any() or not len(targets[image])
        assert torch.equal(best[image, hit], targets[image][found.target[hit]])


def test_images_without_a_single_target_overlap_nothing() -> None:
    best, overlap = best_of_each(some(6)[None], [some(0)], [torch.zeros(0, dtype=torch.bool)])
    assert best.shape == (1, 6, 4) and torch.equal(overlap, torch.zeros(1, 6))


PERSON = torch.tensor([[0.0, 0.0, 10.0, 10.0]])


def on_ignored(box: list[float], people: torch.Tensor, ignore: list[bool]) -> bool:
    return bool(match(torch.tensor([box]), people, torch.tensor(ignore)).on_ignored)


def test_from_an_overlap_of_four_tenths_on_an_ignored_person_hides_what_a_box_shows() -> None:
    assert on_ignored([0.0, 0.0, 10.0, 4.1], PERSON, [True])
    assert not on_ignored([0.0, 0.0, 10.0, 3.9], PERSON, [True])
    assert not on_ignored([0.0, 0.0, 10.0, 10.0], PERSON, [False])


def test_a_box_is_hidden_only_if_it_shows_the_ignored_person_more_than_a_real_one() -> None:
    """The ignored one lies over the right half: a box overlaps either by a half or more."""
    people = torch.tensor([[0.0, 0.0, 10.0, 10.0], [5.0, 0.0, 15.0, 10.0]])
    assert not on_ignored([1.0, 0.0, 11.0, 10.0], people, [False, True])
    assert on_ignored([4.0, 0.0, 14.0, 10.0], people, [False, True])


def test_a_match_is_the_real_person_that_overlaps_most() -> None:
    """By 0.5 and 0.7; the third is as large as the box, but ignored."""
    people = torch.tensor([[0.0, 0.0, 10.0, 5.0], [0.0, 0.0, 10.0, 7.0], [0.0, 0.0, 10.0, 10.0]])
    found = match(PERSON, people, torch.tensor([False, False, True]))
    assert found.target.tolist() == [1] and found.iou.tolist() == pytest.approx([0.7])


def test_a_box_by_hand_as_deltas() -> None:
    """20 x 40 at (10, 20) beside 10 x 20 at (0, 0): centres 15 and 30 apart, in units of the anchor's size;
    both sides twice as long."""
    boxes, anchors = torch.tensor([[10.0, 20, 30, 60]]), torch.tensor([[0.0, 0, 10, 20]])
    wanted = torch.tensor([[1.5, 1.5, math.log(2), math.log(2)]])
    torch.testing.assert_close(encode(boxes, anchors), wanted)
    torch.testing.assert_close(decode(wanted, anchors), boxes)


def test_no_delta_makes_a_box_larger_than_an_anchor_of_16_pixels_to_1000() -> None:
    """A network that has just begun may say anything, also e^50."""
    anchors = torch.tensor([[0.0, 0.0, 16.0, 16.0]])
    wild = decode(torch.tensor([[0.0, 0.0, 50.0, 50.0]]), anchors)
    torch.testing.assert_close(wild, torch.tensor([[-492.0, -492.0, 508.0, 508.0]]))


def test_a_box_is_cut_to_the_picture() -> None:
    """64 high and 96 wide; the second box lies beyond its height, but not beyond its width."""
    cut = clip(torch.tensor([[-3.0, -4.0, 100.0, 70.0], [70.0, 70.0, 90.0, 90.0]]), 64, 96)
    assert cut.tolist() == [[0, 0, 96, 64], [70, 64, 90, 64]]


def targets_of(boxes: list[list[float]], people: list[list[float]], ids: list[int]) -> RegionTargets:
    batch = replace(
        toys.batch(people=(len(people),)),
        boxes=[torch.tensor(people)],
        ids=[torch.tensor(ids)],
        ignore=[torch.zeros(len(people), dtype=torch.bool)],
    )
    return region_targets([torch.tensor(boxes)], batch, 0.5)


def test_a_region_is_a_person_from_the_overlap_on_and_has_their_box_and_name() -> None:
    people = [[0.0, 0.0, 10.0, 10.0], [50.0, 0.0, 60.0, 10.0]]
    boxes = [[50.0, 0.0, 60.0, 5.0], [0.0, 0.0, 10.0, 4.0], [0.0, 0.0, 10.0, 9.0]]
    found = targets_of(boxes, people, [7, -1])
    assert found.person.tolist() == [True, False, True]
    assert found.boxes[found.person].tolist() == [people[1], people[0]]
    assert found.ids[found.person].tolist() == [-1, 7]
