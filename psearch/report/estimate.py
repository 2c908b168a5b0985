"""A number measured over several seeds, and how far it can be trusted."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import sqrt
from statistics import fmean, stdev

from scipy.stats import t


@dataclass(frozen=True)
class Estimate:
    """Values over seeds, one each, in seed order."""

    values: tuple[float, ...]

    def __post_init__(self) -> None:
        assert self.values, "an estimate needs a value"

    @property
    def mean(self) -> float:
        return fmean(self.values)

    @property
    def spread(self) -> float | None:
        """Sample standard deviation over seeds; None for one seed."""
        return stdev(self.values) if len(self.values) > 1 else None

    @property
    def interval(self) -> float | None:
        """Half-width of the 95 % Student-t interval of the mean; None for one seed."""
        count = len(self.values)
        return None if count < 2 else float(t.ppf(0.975, count - 1)) * stdev(self.values) / sqrt(count)


def estimate(values: Iterable[float | None]) -> Estimate | None:
    """The estimate from the values that are there; None if none is."""
    present = tuple(float(value) for value in values if value is not None)
    return Estimate(present) if present else None
