"""What every distillation term is."""

from __future__ import annotations

from torch import Tensor, nn

from psearch.distill.teacher import Teacher
from psearch.types import Batch, SearchOutput


class Term(nn.Module):
    """One way to learn from a teacher, with two optional moments: `prepare`, once before training, and
    `forward`, at every step.

    A term lives beside the student, never inside it; parameters it needs (adapters) are its own. `needs`:
    fields of the teacher's `SearchOutput` that `forward` reads; empty if it does nothing at a step, and then
    the teacher is not run at all. `requires`: fields the teacher must be trained for, at either moment.
    weight: multiplies the raw value in the sum; 0 watches only.
    """

    needs: frozenset[str] = frozenset()
    requires: frozenset[str] = frozenset()

    def __init__(self, *, weight: float = 1.0) -> None:
        super().__init__()
        if weight < 0:
            raise ValueError(
                f"weight={weight} of a distillation term: it must be at least 0 (0 watches only)"
            )
        self.weight = float(weight)

    def weights(self, name: str) -> dict[str, float]:
        """Losses it weighs in the sum: its own, `distill/<name>`, if it has one."""
        return {f"distill/{name}": self.weight} if self.needs else {}

    def prepare(self, teacher: Teacher, memory: nn.Module) -> None:
        """Once, before the first step; `memory` is the criterion's identity memory."""

    def forward(self, student: SearchOutput, teacher: SearchOutput, batch: Batch) -> Tensor:
        """The raw loss, a scalar; called only if the term `needs` something."""
        raise TypeError(f"{type(self).__name__} needs {sorted(self.needs)} but defines no loss")
