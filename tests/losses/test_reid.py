"""The softmax of a re-identification network, worked out by hand for two people."""

from __future__ import annotations

import math

import pytest
import torch

from psearch.losses.reid import ReidCriterion

FIRST = [1.0, 0.0]


def criterion(*, temperature: float = 1.0, smoothing: float = 0.0) -> ReidCriterion:
    """Two people whose prototypes point along the axes; their length does not matter."""
    made = ReidCriterion(2, size=2, temperature=temperature, smoothing=smoothing)
    made.prototypes.data.copy_(torch.tensor([[5.0, 0.0], [0.0, 0.1]]))
    return made


def loss(made: ReidCriterion, rows: list[list[float]], ids: list[int]) -> float:
    return made(torch.tensor(rows), torch.tensor(ids))["identity"].item()


def test_logits_are_cosines() -> None:
    """Cosines 1 and 0: −log σ(1)."""
    assert loss(criterion(), [FIRST], [0]) == pytest.approx(math.log1p(math.exp(-1)))


def test_logits_are_divided_by_the_temperature() -> None:
    assert loss(criterion(temperature=0.25), [FIRST], [0]) == pytest.approx(
        math.log1p(math.exp(-4)), rel=1e-5
    )


def test_smoothing_spreads_a_share_over_all_people() -> None:
    """Of 0.2 each of the two gets 0.1: 0.9 on the right one and 0.1 on the other, which costs 1 more."""
    wanted = math.log1p(math.exp(-1)) + 0.1
    assert loss(criterion(smoothing=0.2), [FIRST], [0]) == pytest.approx(wanted)


def test_smoothing_and_temperature_have_the_defaults_of_the_recipe() -> None:
    """1/16 and 0.05: the other cosine costs 16 · 0.025."""
    made = ReidCriterion(2, size=2)
    made.prototypes.data.copy_(torch.eye(2))
    assert loss(made, [FIRST], [0]) == pytest.approx(math.log1p(math.exp(-16)) + 0.4)


def test_people_without_a_name_are_no_class_and_count_for_nothing() -> None:
    alone = loss(criterion(), [FIRST], [0])
    assert loss(criterion(), [FIRST, [0.0, 1.0], [0.6, 0.8]], [0, -1, -1]) == pytest.approx(alone)
