"""Bootstrap intervals over queries."""

from __future__ import annotations

import numpy as np
import pytest

from psearch.evaluation.metrics import bootstrap_interval


def test_the_interval_is_the_textbook_one_for_many_queries_and_the_same_every_time():
    values = np.random.default_rng(1).random(400)
    low, high = bootstrap_interval(values)
    spread = 1.96 * values.std() / 20
    assert (low, high) == pytest.approx((values.mean() - spread, values.mean() + spread), abs=0.004)
    assert bootstrap_interval(values) == (low, high) != bootstrap_interval(values, seed=1)


def test_thirty_queries_are_few():
    low, high = bootstrap_interval(np.array([1.0] * 24 + [0.0] * 6))
    assert low < 0.7 and high > 0.9


def test_no_spread_no_interval():
    assert bootstrap_interval(np.ones(5)) == (1.0, 1.0)
    assert bootstrap_interval(np.array([0.5])) == (0.5, 0.5)
