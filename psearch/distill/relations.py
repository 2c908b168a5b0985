"""Similarities of the people within a batch, drawn to the teacher's."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor
from torch.nn.functional import normalize

from psearch.distill.distances import similarities, soft_kl
from psearch.distill.foreground import matched_foreground
from psearch.distill.term import Scheduled, Term
from psearch.types import Batch, SearchOutput

Measure = Callable[[Tensor, Tensor, float], Tensor]
"""The student's and the teacher's cosines (n, n) of the same n people, a temperature -> a scalar."""


def divergence(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """KL of softmaxed rows: the L_sim of HKD (ACM MM 2023). The factor T² is not confirmed."""
    return soft_kl(student, teacher, temperature=temperature)


def squared(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """Σ (S_s − S_t)²: the correlation term of DDPS (TMM 2024)."""
    return (student - teacher).square().sum()


def pairs(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """‖S_s − S_t‖² / n², rows of S at unit length: the L_pr of DKD (AAAI 2021)."""
    return (normalize(student, dim=1) - normalize(teacher, dim=1)).square().sum() / max(student.numel(), 1)


MEASURES: dict[str, Measure] = {"divergence": divergence, "squared": squared, "pairs": pairs}


class Relations(Term):
    """The distance of two matrices of cosines between all described boxes of a batch that are people; the
    embeddings may have different lengths.

    measure: `divergence`, `squared` or `pairs` (see there). temperature: of `divergence`.
    """

    needs = frozenset({"embeddings"})

    def __init__(
        self,
        *,
        measure: str = "divergence",
        temperature: float = 2.0,
        weight: Scheduled = 1.0,
        teacher: str | None = None,
    ) -> None:
        super().__init__(weight=weight, teacher=teacher)
        if measure not in MEASURES:
            raise ValueError(f"measure={measure}: choose one of {', '.join(MEASURES)}")
        self.measure, self.temperature = MEASURES[measure], temperature

    def forward(self, student: SearchOutput, teacher: SearchOutput, batch: Batch) -> Tensor:
        people = matched_foreground(student, teacher, batch)
        cosines = similarities(people.student, people.student)
        teacher_cosines = similarities(people.teacher, people.teacher)
        return self.measure(cosines, teacher_cosines, self.temperature)
