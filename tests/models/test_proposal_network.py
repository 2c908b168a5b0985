"""Proposals from anchors, on a picture small enough to work them out by hand."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from psearch.models.proposals import ProposalNetwork


def network(**options: Any) -> ProposalNetwork:
    """One anchor of 4 x 4 pixels every 4 pixels."""
    plain = {
        "stride": 4,
        "sizes": [4.0],
        "aspects": [1.0],
        "pre_nms_top_n": 3,
        "post_nms_top_n": 2,
        "nms_thresh": 0.7,
    }
    return ProposalNetwork(8, **plain | options).eval()


def proposed(
    network: ProposalNetwork, logits: list[float], deltas: Tensor | None = None
) -> list[list[float]]:
    """What it proposes from a row of anchors, in a picture as wide as they are."""
    anchors = network.anchors(1, len(logits))
    none = torch.zeros(1, len(logits), 4)
    [boxes] = network.propose(
        anchors, torch.tensor([logits]), none if deltas is None else deltas, (4, 4 * len(logits))
    )
    return boxes.tolist()


def place(index: int) -> list[float]:
    return [4.0 * index, 0.0, 4.0 * index + 4, 4.0]


def test_anchors_have_the_area_of_their_size_and_aspect_is_height_over_width() -> None:
    """Size 4, aspect 4: 8 high and 2 wide, around the middle of each place."""
    anchors = network(aspects=[4.0]).anchors(1, 2)
    assert anchors.tolist() == [[1.0, -2.0, 3.0, 6.0], [5.0, -2.0, 7.0, 6.0]]


def test_the_best_are_proposed_best_first_and_no_more_than_asked_for() -> None:
    assert proposed(network(), [0.0, 3.0, 1.0, 2.0]) == [place(1), place(3)]


def test_training_keeps_more_where_the_recipe_says_so_and_evaluation_does_not() -> None:
    """Two in evaluation, three in training; without numbers of its own, training keeps as many."""
    logits = [0.0, 3.0, 1.0, 2.0]
    generous, plain = network(pre_nms_top_n_train=4, post_nms_top_n_train=3), network()
    assert len(proposed(generous, logits)) == 2 and len(proposed(generous.train(), logits)) == 3
    assert len(proposed(plain.train(), logits)) == 2


def test_pre_nms_top_n_is_counted_before_suppression() -> None:
    """The two best are one box: of two before suppression one is left, of three (in training) two."""
    deltas = torch.zeros(1, 3, 4)
    deltas[0, 1, 0] = -1.0  # one anchor to the left
    logits = [3.0, 2.0, 1.0]
    narrow = network(pre_nms_top_n=2, pre_nms_top_n_train=3)
    assert proposed(narrow, logits, deltas) == [place(0)]
    assert proposed(narrow.train(), logits, deltas) == [place(0), place(2)]


def test_boxes_that_overlap_a_better_one_by_more_than_nms_are_dropped() -> None:
    """Half an anchor to the left: the second overlaps the first by 1/3."""
    deltas = torch.zeros(1, 2, 4)
    deltas[0, 1, 0] = -0.5
    assert proposed(network(nms_thresh=0.3), [2.0, 1.0], deltas) == [place(0)]
    assert proposed(network(nms_thresh=0.4), [2.0, 1.0], deltas) == [place(0), [2.0, 0.0, 6.0, 4.0]]


def test_boxes_are_cut_to_the_picture_and_what_is_left_is_at_least_a_pixel() -> None:
    """Half an anchor beyond the left edge; and one pushed out of the picture but for half a pixel."""
    deltas = torch.zeros(1, 2, 4)
    deltas[0, 0, 0], deltas[0, 1, 0] = -0.5, 7 / 8
    assert proposed(network(), [1.0, 2.0], deltas) == [[0.0, 0.0, 2.0, 4.0]]
