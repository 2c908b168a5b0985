"""Decoupled knowledge distillation of region logits (Zhao et al., CVPR 2022; the LD of DDPS, TMM 2024)."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from psearch import distributed
from psearch.boxes import region_targets
from psearch.distill.distances import soft_kl
from psearch.distill.foreground import FG_IOU_THRESH
from psearch.distill.term import Scheduled, Term
from psearch.types import Batch, SearchOutput


class Decoupled(Term):
    """α TCKD + β NCKD on the student's boxes. TCKD: T² KL between [p(target), 1 − p(target)] of teacher and
    student; NCKD: T² KL between their distributions over the other classes. A detector of persons has one
    other class: there NCKD is 0 by definition, and what remains is TCKD.
    """

    needs = frozenset({"box_logits"})

    def __init__(
        self,
        *,
        alpha: float = 1.0,
        beta: float = 0.5,
        temperature: float = 4.0,
        weight: Scheduled = 1.0,
        teacher: str | None = None,
    ) -> None:
        super().__init__(weight=weight, teacher=teacher)
        self.alpha, self.beta, self.temperature = alpha, beta, temperature

    def forward(self, student: SearchOutput, teacher: SearchOutput, batch: Batch) -> Tensor:
        assert student.box_logits is not None and teacher.box_logits is not None
        person = region_targets(student.boxes, batch, FG_IOU_THRESH).person
        mean = self.divergence(student.box_logits.float(), teacher.box_logits.float(), person.long())
        return mean * distributed.mean_weight(len(person))

    def divergence(self, student: Tensor, teacher: Tensor, target: Tensor) -> Tensor:
        """Logits (n, c) of both networks, the true class (n,) -> a scalar, the mean over rows."""
        true = one_hot(target, student.shape[1]).bool()
        binary = (self._binary(logits, true) for logits in (student, teacher))
        others = (logits[~true].reshape(len(logits), logits.shape[1] - 1) for logits in (student, teacher))
        return self.alpha * soft_kl(*binary, temperature=self.temperature) + self.beta * soft_kl(
            *others, temperature=self.temperature
        )

    def _binary(self, logits: Tensor, true: Tensor) -> Tensor:
        """Logits (n, 2) of the target against all others together, at this temperature."""
        rest = (logits / self.temperature).masked_fill(true, -math.inf).logsumexp(dim=1) * self.temperature
        return torch.stack([logits[true], rest], dim=1)
