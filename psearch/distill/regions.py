"""Soft targets and bounded regression for regions (Chen et al., NIPS 2017: RCN)."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn.functional import log_softmax

from psearch import distributed
from psearch.boxes import encode, region_targets
from psearch.distill.distances import bounded_regression
from psearch.distill.foreground import FG_IOU_THRESH
from psearch.distill.term import LinearSchedule, Scheduled, Term
from psearch.types import Batch, SearchOutput


class Regions(Term):
    """(1 − μ) L_soft + ν L_b over the N boxes of the student, at which the teacher runs, too.

    L_soft = −1/N Σ_n Σ_c w_c P_t(c) log P_s(c), probabilities at a temperature, w = `background` for
    background and 1 for a person. L_b: `bounded_regression` of the boxes that are people, sum / N. The hard
    part μ L_hard is the student's own `roi_class`, whose weight this term brings down to μ.
    mu, nu: numbers or schedules. margin: m.
    """

    needs = frozenset({"box_logits", "box_deltas"})

    def __init__(
        self,
        *,
        mu: Scheduled = 0.5,
        nu: Scheduled = 0.5,
        margin: float = 0.01,
        background: float = 1.5,
        temperature: float = 1.0,
        weight: Scheduled = 1.0,
        teacher: str | None = None,
    ) -> None:
        super().__init__(weight=weight, teacher=teacher)
        self.mu, self.nu = LinearSchedule(mu, name="mu", maximum=1.0), LinearSchedule(nu, name="nu")
        self.margin, self.background, self.temperature = margin, background, temperature

    def weigh(self, name: str, weights: Mapping[str, float]) -> dict[str, float]:
        """At weight 1 the hard loss keeps the share μ; at weight 0, watched only, all of it."""
        soft = min(self.weight, 1.0) * (1 - self.mu(self.epoch))
        return super().weigh(name, {**weights, "roi_class": weights["roi_class"] * (1 - soft)})

    def forward(self, student: SearchOutput, teacher: SearchOutput, batch: Batch) -> Tensor:
        assert student.box_logits is not None and teacher.box_logits is not None
        soft = self._soft(student.box_logits, teacher.box_logits)
        count, part = max(len(student.box_logits), 1), distributed.mean_weight(len(student.box_logits))
        bounded = self._bounded(student, teacher, batch)
        return ((1 - self.mu(self.epoch)) * soft.sum() + self.nu(self.epoch) * bounded.sum()) / count * part

    def _soft(self, student: Tensor, teacher: Tensor) -> Tensor:
        weights = torch.ones_like(student[:1], dtype=torch.float32)
        weights[:, 0] = self.background
        target = (teacher.float() / self.temperature).softmax(dim=1)
        return -weights * target * log_softmax(student.float() / self.temperature, dim=1)

    def _bounded(self, student: SearchOutput, teacher: SearchOutput, batch: Batch) -> Tensor:
        assert student.box_deltas is not None and teacher.box_deltas is not None
        targets = region_targets(student.boxes, batch, FG_IOU_THRESH)
        person = targets.person
        truth = encode(targets.boxes[person], torch.cat(student.boxes)[person])
        return bounded_regression(
            student.box_deltas[person], teacher.box_deltas[person], truth, margin=self.margin
        )
