"""The interface of every distillation term, and numbers that follow a schedule."""

from __future__ import annotations

import math
from collections.abc import Mapping

from torch import Tensor, nn

from psearch.distill.teacher import NetworkSpec, Teacher
from psearch.types import Batch, SearchOutput


class Term(nn.Module):
    """One way to learn from a teacher, with three optional moments: `attach`, when the run is built;
    `prepare`, once before training; and `forward`, at every step.

    A term lives beside the student, never inside it; parameters it needs (adapters) belong to it. `needs`:
    fields of the teacher's `SearchOutput` that `forward` reads; empty if it does nothing at a step, and then
    the teacher is not run at all. The teacher's `embeddings` are there for boxes that are people
    (`matched_foreground`). `requires`: fields the teacher must be trained for, at any moment.
    weight: multiplies the raw value in the sum, a number or a schedule over epochs; 0 watches only.
    teacher: which of several teachers it reads; None for the only one that provides what it needs.
    """

    needs: frozenset[str] = frozenset()
    requires: frozenset[str] = frozenset()

    def __init__(self, *, weight: Scheduled = 1.0, teacher: str | None = None) -> None:
        super().__init__()
        self._weight = LinearSchedule(weight, name="weight")
        self.teacher = teacher
        self.epoch = 0.0

    @property
    def weight(self) -> float:
        """Of the raw value in the sum, at this point of the training."""
        return self._weight(self.epoch)

    def weigh(self, name: str, weights: Mapping[str, float]) -> dict[str, float]:
        """Loss -> weight in the sum, without this term -> with it: by default its own loss, `distill/<name>`,
        joins, if it has one; a term may change the weights of others."""
        return {**weights, f"distill/{name}": self.weight} if self.needs else dict(weights)

    def attach(self, student: NetworkSpec, teacher: Teacher) -> None:
        """When the run is built: make adapters; ValueError if the two networks do not go together."""

    def prepare(self, teacher: Teacher, memory: nn.Module) -> None:
        """Once, before the first step; `memory` is the criterion's identity memory."""

    def forward(self, student: SearchOutput, teacher: SearchOutput, batch: Batch) -> Tensor:
        """The raw loss, a scalar; called only if the term `needs` something."""
        raise TypeError(f"{type(self).__name__} needs {sorted(self.needs)} but defines no loss")


Scheduled = float | Mapping[str, float]
"""A number, or {start, end, epochs}: linearly from `start` to `end` over the first `epochs` epochs."""


class LinearSchedule:
    """epoch (a fraction within an epoch) -> value of a `Scheduled` number.

    name: of the number, for errors. maximum: largest value allowed. Raises ValueError for other keys, an
    `epochs` that is not above 0, and values outside 0…maximum.
    """

    def __init__(self, value: Scheduled, *, name: str, maximum: float = math.inf) -> None:
        plain = {"start": value, "end": value, "epochs": 1} if isinstance(value, int | float) else dict(value)
        if set(plain) != {"start", "end", "epochs"} or not plain["epochs"] > 0:
            raise ValueError(f"{name}={value}: write a number, or {{start: …, end: …, epochs: above 0}}")
        if not all(0 <= plain[key] <= maximum for key in ("start", "end")):
            limits = "at least 0" if maximum == math.inf else f"from 0 to {maximum:g}"
            raise ValueError(f"{name}={value}: it must be {limits}")
        self.start, self.end, self.epochs = (float(plain[key]) for key in ("start", "end", "epochs"))

    def __call__(self, epoch: float) -> float:
        return self.start + (self.end - self.start) * min(epoch / self.epochs, 1.0)
