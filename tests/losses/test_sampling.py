"""Which boxes and anchors a loss looks at: shares, thresholds, and what counts as nothing."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from psearch.losses.proposals import ProposalLoss, balanced
from psearch.losses.regions import RegionSampler
from psearch.types import Batch, SearchOutput
from tests import toys

PERSON = [0.0, 0.0, 10.0, 10.0]
HALF = [0.0, 0.0, 10.0, 5.0]
"""Overlaps PERSON by 0.5."""
FAR = [80.0, 40.0, 90.0, 50.0]
SURE = 100.0
"""A logit that costs 100 where it is wrong, and nothing where it is right."""


def scene(*boxes: list[float], ignore: bool = False) -> Batch:
    """One scene with these people, all of them to be ignored or none."""
    return replace(
        toys.batch(people=(1,)),
        boxes=[torch.tensor(boxes)],
        ids=[torch.arange(len(boxes))],
        ignore=[torch.full((len(boxes),), ignore)],
    )


def said(anchors: list[list[float]], logits: list[float], deltas: Tensor | None = None) -> SearchOutput:
    """What a proposal network says of one image."""
    none = torch.zeros(1, len(anchors), 4)
    return SearchOutput(
        anchors=torch.tensor(anchors),
        objectness=torch.tensor([logits]),
        anchor_deltas=none if deltas is None else deltas[None],
    )


@pytest.mark.parametrize(
    ("people", "others", "taken"),
    [
        (10, 10, (2, 6)),  # a quarter of eight
        (1, 10, (1, 7)),  # too few people: background fills up
        (10, 3, (2, 3)),  # too little background: people do not
        (0, 10, (0, 8)),
    ],
)
def test_at_most_the_share_is_positive_and_background_fills_up(
    people: int, others: int, taken: tuple[int, int]
) -> None:
    positive = torch.arange(people + others) < people
    [(some, rest)] = balanced([(positive, ~positive)], count=8, share=0.25)
    assert (len(some), len(rest)) == taken
    assert positive[some].all() and not positive[rest].any()
    assert len(torch.cat([some, rest]).unique()) == sum(taken)


def test_which_are_drawn_follows_the_seed_of_the_step() -> None:
    """The same ones again for the same seed, others for another: of persons and of background."""
    positive, draws = torch.arange(200) < 100, []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        [drawn] = balanced([(positive, ~positive)], count=20, share=0.5)
        draws.append(drawn)
    for first, again, other in zip(*draws, strict=True):
        assert torch.equal(first, again) and set(first.tolist()) != set(other.tolist())


def picked(sampler: RegionSampler, batch: Batch, proposals: list[list[float]]) -> list[list[float]]:
    [boxes] = sampler.pick(batch)(lambda: [torch.tensor(proposals)])
    return sorted(boxes.tolist())


def test_a_proposal_between_the_thresholds_is_left_out() -> None:
    """It overlaps by 0.5; persons begin at 0.7, background ends at 0.3. Ground truth joins in."""
    strict = RegionSampler(8, fg_iou_thresh=0.7, bg_iou_thresh=0.3)
    assert picked(strict, scene(PERSON), [HALF, FAR]) == [PERSON, FAR]


def test_a_proposal_right_at_the_threshold_is_a_person() -> None:
    at_half = RegionSampler(2, positive_fraction=1.0, fg_iou_thresh=0.5, bg_iou_thresh=0.5)
    assert picked(at_half, scene(PERSON), [HALF, FAR]) == sorted([PERSON, HALF])


def test_a_proposal_over_ignored_people_is_left_out_and_they_do_not_join() -> None:
    """Not even where one of them overlaps a real person enough to pass for them."""
    assert picked(RegionSampler(8), scene(PERSON, ignore=True), [HALF, FAR]) == [FAR]
    both = replace(scene(PERSON, HALF), ignore=[torch.tensor([False, True])])
    assert picked(RegionSampler(8), both, [FAR]) == [PERSON, FAR]


def test_an_anchor_between_the_thresholds_costs_nothing() -> None:
    """Overlap 0.5 is neither 0.7 nor below 0.3: two anchors remain, each unsure, ln 2."""
    output = said([PERSON, HALF, FAR], [0.0, SURE, 0.0])
    assert ProposalLoss()(output, scene(PERSON))["rpn_object"].item() == pytest.approx(math.log(2))


def test_an_anchor_over_ignored_people_costs_nothing() -> None:
    output = said([PERSON, FAR], [SURE, 0.0])
    assert ProposalLoss()(output, scene(PERSON, ignore=True))["rpn_object"].item() == pytest.approx(
        math.log(2)
    )


def test_background_that_is_taken_for_a_person_costs_its_share() -> None:
    """One anchor of two is wrong by 100."""
    output = said([PERSON, FAR], [SURE, SURE])
    assert ProposalLoss()(output, scene(PERSON))["rpn_object"].item() == pytest.approx(SURE / 2)


def test_the_best_anchor_of_a_person_stands_for_them_however_little_it_overlaps() -> None:
    """0.5 is below the 0.7 of a person, but nobody is nearer; the other one (0.4) is no rival."""
    output = said([HALF, [0.0, 0.0, 10.0, 4.0], FAR], [-SURE, SURE, -SURE])
    assert ProposalLoss()(output, scene(PERSON))["rpn_object"].item() == pytest.approx(SURE / 2)


def test_an_anchor_that_hardly_touches_a_person_never_stands_for_them() -> None:
    """The best there is overlaps by 0.09: it is background, and right to say so."""
    output = said([[0.0, 0.0, 10.0, 0.9], FAR], [-SURE, -SURE])
    assert ProposalLoss()(output, scene(PERSON))["rpn_object"].item() == pytest.approx(0)


def test_boxes_are_learnt_from_persons_and_divided_by_all_anchors() -> None:
    """One number is off by 1: smooth L1 with β = 1/9 costs 1 − 1/18, shared by two anchors. Where there is
    nobody, deltas may be anything."""
    output = said([PERSON, FAR], [0.0, 0.0], torch.tensor([[1.0, 0, 0, 0], [7.0, 7, 7, 7]]))
    assert ProposalLoss()(output, scene(PERSON))["rpn_box"].item() == pytest.approx((1 - 1 / 18) / 2)


def test_the_share_of_persons_among_anchors_is_kept() -> None:
    """Four anchors are the person; of four in the sample one may be: three of background are wrong by 100."""
    output = said([PERSON] * 4 + [FAR] * 4, [SURE] * 8)
    loss = ProposalLoss(batch_size_per_image=4, positive_fraction=0.25)(output, scene(PERSON))["rpn_object"]
    assert loss.item() == pytest.approx(SURE * 3 / 4)
