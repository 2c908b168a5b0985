"""Soft targets and bounded regression for anchors (Chen et al., NIPS 2017: RPN)."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from psearch import distributed
from psearch.boxes import best_of_each, encode
from psearch.distill.distances import bounded_regression
from psearch.distill.teacher import NetworkSpec, Teacher
from psearch.distill.term import LinearSchedule, Scheduled, Term
from psearch.types import AnchorGrid, Batch, SearchOutput


class Objectness(Term):
    """(1 − μ) L_soft + ν L_b over M anchors of each image.

    L_soft: binary cross-entropy with the teacher's probability, mean over the M. L_b: `bounded_regression` of
    those with an IoU of `fg_iou_thresh` with a ground-truth box, sum / M. The hard part μ L_hard is the
    student's own `rpn_object`, whose weight this term brings down to μ. Our reading: the M =
    `batch_size_per_image` anchors that student or teacher takes most for a person (the paper draws them at
    random, half of them persons). Raises ValueError on `attach` where the two networks do not start from the
    same anchors.
    """

    needs = frozenset({"anchors", "objectness", "anchor_deltas"})

    def __init__(
        self,
        *,
        mu: Scheduled = 0.5,
        nu: Scheduled = 0.5,
        margin: float = 0.01,
        batch_size_per_image: int = 256,
        fg_iou_thresh: float = 0.7,
        weight: Scheduled = 1.0,
        teacher: str | None = None,
    ) -> None:
        super().__init__(weight=weight, teacher=teacher)
        self.mu, self.nu = LinearSchedule(mu, name="mu", maximum=1.0), LinearSchedule(nu, name="nu")
        self.margin = margin
        self.batch_size_per_image, self.fg_iou_thresh = batch_size_per_image, fg_iou_thresh

    def weigh(self, name: str, weights: Mapping[str, float]) -> dict[str, float]:
        """At weight 1 the hard loss keeps the share μ; at weight 0, watched only, all of it."""
        soft = min(self.weight, 1.0) * (1 - self.mu(self.epoch))
        return super().weigh(name, {**weights, "rpn_object": weights["rpn_object"] * (1 - soft)})

    def attach(self, student: NetworkSpec, teacher: Teacher) -> None:
        grid, teacher_grid = student.anchor_grid, teacher.spec.anchor_grid
        if grid is None or teacher_grid is None or not _same(grid, teacher_grid):
            raise ValueError(
                f"the student's anchors are {_words(grid)}, the teacher's are {_words(teacher_grid)}: choose "
                "compressions of one stride, and the same anchors.sizes and anchors.aspects for both networks"
            )

    def forward(self, student: SearchOutput, teacher: SearchOutput, batch: Batch) -> Tensor:
        assert student.objectness is not None and teacher.objectness is not None
        likely = torch.maximum(student.objectness.detach(), teacher.objectness)
        chosen = likely.topk(min(self.batch_size_per_image, likely.shape[1]), dim=1).indices
        logits = student.objectness.gather(1, chosen).float()
        teacher_logits = teacher.objectness.gather(1, chosen).float()
        soft = binary_cross_entropy_with_logits(logits, teacher_logits.sigmoid(), reduction="sum")
        bounded = self._bounded(student, teacher, batch, chosen)
        count, part = max(chosen.numel(), 1), distributed.mean_weight(chosen.numel())
        return ((1 - self.mu(self.epoch)) * soft + self.nu(self.epoch) * bounded) / count * part

    def _bounded(self, student: SearchOutput, teacher: SearchOutput, batch: Batch, chosen: Tensor) -> Tensor:
        """Sum over the chosen anchors (b, M) of all images that are people, matched in one go."""
        assert student.anchors is not None
        assert student.anchor_deltas is not None and teacher.anchor_deltas is not None
        anchors = student.anchors[chosen]
        true, iou = best_of_each(anchors, batch.boxes, batch.ignore)
        image, place = (iou >= self.fg_iou_thresh).nonzero(as_tuple=True)
        rows = chosen[image, place]
        deltas, teacher_deltas = student.anchor_deltas[image, rows], teacher.anchor_deltas[image, rows]
        truth = encode(true[image, place], anchors[image, place])
        return bounded_regression(deltas, teacher_deltas, truth, margin=self.margin).sum()


def _same(one: AnchorGrid, other: AnchorGrid) -> bool:
    """Sizes may differ by what rounding leaves of numbers that were read off the same data."""
    pairs = ((one.sizes, other.sizes), (one.aspects, other.aspects))
    close = all(
        len(a) == len(b) and torch.allclose(torch.tensor(a), torch.tensor(b), rtol=1e-3) for a, b in pairs
    )
    return close and one.stride == other.stride and one.corner == other.corner


def _words(grid: AnchorGrid | None) -> str:
    if grid is None:
        return "none"
    sizes, aspects = (" ".join(f"{value:.4g}" for value in values) for values in grid[:2])
    return f"(sizes {sizes}; aspects {aspects}; stride {grid.stride}{', corner' if grid.corner else ''})"
