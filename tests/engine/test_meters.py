"""The row of metrics that a few batches leave behind."""

from __future__ import annotations

import math
from types import SimpleNamespace

import pytest
import torch

from psearch.engine.meters import LossMeter


def batch(*scenes: int) -> SimpleNamespace:
    return SimpleNamespace(images=torch.zeros(len(scenes), 3, 2, 2), scenes=list(scenes))


def add(meter: LossMeter, total: float, *scenes: int, **more: float) -> None:
    losses = {"total": total} | more
    meter.add({name: torch.tensor(value) for name, value in losses.items()}, batch(*scenes))


def a_meter(*, finite_gradients: bool = True) -> LossMeter:
    return LossMeter({"fit": 1.0, "watched": 0.0}, finite_gradients=finite_gradients)


def test_a_row_is_the_mean_of_the_batches_since_the_last_row() -> None:
    """Two batches, then one."""
    meter = a_meter()
    add(meter, 1.0, 0, fit=4.0)
    add(meter, 2.0, 1, fit=2.0)
    row = meter.read()
    assert (row["total"], row["fit"]) == (1.5, 3.0)
    add(meter, 7.0, 2, fit=0.5)
    row = meter.read()
    assert (row["total"], row["fit"]) == (7.0, 0.5)


def test_the_norm_of_the_gradient_is_the_mean_over_steps_not_over_batches() -> None:
    """Of three batches the second and the third complete a step."""
    meter = a_meter()
    add(meter, 1.0, 0)
    add(meter, 1.0, 1)
    meter.add_gradient(torch.tensor(6.0))
    add(meter, 1.0, 2)
    meter.add_gradient(torch.tensor(4.0))
    assert meter.read()["grad_norm"] == 5.0


def test_a_loss_that_only_some_batches_have_is_the_mean_of_those() -> None:
    meter = a_meter()
    add(meter, 1.0, 0)
    add(meter, 1.0, 1, fit=8.0)
    assert meter.read()["fit"] == 8.0


@pytest.mark.parametrize("spoilt", ["total", "fit"])
def test_the_first_batch_that_breaks_down_is_named(spoilt: str) -> None:
    meter = a_meter()
    add(meter, 1.0, 3, 4, fit=1.0)
    said = {"total": 1.0, "fit": 1.0} | {spoilt: math.nan}
    add(meter, said["total"], 5, 6, fit=said["fit"])
    add(meter, math.nan, 7, fit=math.nan)
    with pytest.raises(FloatingPointError, match=rf"{spoilt} is nan on the training scenes \[5, 6\]"):
        meter.read()


def test_a_watched_loss_may_be_anything_and_so_may_a_scaled_gradient() -> None:
    meter = a_meter(finite_gradients=False)
    add(meter, 1.0, 0, watched=math.inf)
    meter.add_gradient(torch.tensor(math.inf))
    row = meter.read()
    assert row["watched"] == row["grad_norm"] == math.inf
