"""One row of the comparison: a variant over its seeds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import sqrt
from statistics import fmean, stdev

from scipy.stats import t

from psearch.report.runs import Run


@dataclass(frozen=True, eq=False)
class Row:
    """A variant over its seeds. axes: (student, compression, teacher, distill). differing: the settings
    that tell it apart from rows of the same axes, as "key=value"."""

    role: str
    axes: tuple[str, str, str, str]
    runs: tuple[Run, ...]
    metrics: Mapping[str, Estimate]
    costs: Mapping[str, Estimate]
    differing: tuple[str, ...] = ()

    @property
    def seeds(self) -> tuple[int, ...]:
        return tuple(run.seed for run in self.runs)

    @property
    def settings(self) -> Mapping[str, str]:
        return self.runs[0].settings

    @property
    def distill(self) -> str:
        return self.axes[3]

    @property
    def distilled(self) -> bool:
        return self.role == "student" and self.distill != "none"

    @property
    def mode(self) -> str:
        """What colours it in every plot: its distillation mode, "baseline", or its role."""
        if self.role != "student":
            return "two-step" if self.role == "two_step" else self.role
        return self.distill if self.distilled else "baseline"

    @property
    def label(self) -> str:
        student, compression, teacher, distill = self.axes
        if self.role == "teacher":
            name = f"teacher {student} {compression}".strip()
        elif self.role == "two_step":
            name = f"two-step {student} {compression} + {teacher}"
        else:
            how = f"{distill} from {teacher}" if self.distilled else "baseline"
            name = f"{student} {compression} {how}"
        return " · ".join([name, *self.differing])

    def values(self, metric: str) -> dict[int, float]:
        """seed -> value, for the runs that measured it."""
        return {run.seed: run.metrics[metric] for run in self.runs if metric in run.metrics}

    @property
    def per_query(self) -> list[float | None]:
        """AP of each search, averaged over the seeds, None where a search was skipped; empty if the runs did
        not record it alike."""
        lists = [run.record.per_query.get("AP", ()) for run in self.runs]
        if len({len(values) for values in lists}) != 1:
            return []
        columns = zip(*lists, strict=True)
        return [None if None in values else round(fmean(values), 4) for values in columns]


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
