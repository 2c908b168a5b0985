"""The triplet relation of DKD (Zhang et al., AAAI 2021, L_tr; no code is public)."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from psearch import distributed
from psearch.distill.embeddings import same_length
from psearch.distill.foreground import matched_foreground
from psearch.distill.teacher import NetworkSpec, Teacher
from psearch.distill.term import Scheduled, Term
from psearch.types import Batch, SearchOutput


class Triplets(Term):
    """L_tr = 1/B Σ_i [m + ‖s_i − t_i‖ − min_j ‖s_i − t_j‖]₊: the student's embedding of a person is nearer to
    the teacher's of the same box than to the teacher's of anybody else. Over labelled people; our reading: j
    runs over boxes of other identities, since several boxes of a batch show one person. A batch of one
    identity has nobody else and costs nothing. Raises ValueError on `attach` for embeddings of different
    length.
    """

    needs = frozenset({"embeddings"})

    def __init__(self, *, margin: float = 0.3, weight: Scheduled = 1.0, teacher: str | None = None) -> None:
        super().__init__(weight=weight, teacher=teacher)
        self.margin = margin

    def attach(self, student: NetworkSpec, teacher: Teacher) -> None:
        same_length(student, teacher)

    def forward(self, student: SearchOutput, teacher: SearchOutput, batch: Batch) -> Tensor:
        people = matched_foreground(student, teacher, batch, labelled=True)
        apart = torch.linalg.vector_norm(people.student[:, None] - people.teacher[None], dim=2)
        others = apart.masked_fill(people.ids[:, None] == people.ids[None], math.inf)
        nearest = others.amin(dim=1) if len(others) else others.sum(dim=1)
        costs = (self.margin + apart.diagonal() - nearest).clamp(min=0)
        result: Tensor = costs.sum() / max(len(apart), 1) * distributed.mean_weight(len(apart))
        return result
