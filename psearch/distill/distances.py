"""Distances that several terms share: teacher-bounded regression, KL of softened logits, cosines."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import kl_div, log_softmax


def bounded_regression(student: Tensor, teacher: Tensor, truth: Tensor, *, margin: float) -> Tensor:
    """Per row of deltas (n, 4): ‖R_s − y‖² where the student is not better than the teacher by the margin,
    that is ‖R_s − y‖² + m > ‖R_t − y‖²; else 0. Returns (n,). Source: Chen et al., NIPS 2017."""
    error, teacher_error = ((deltas.float() - truth).square().sum(dim=1) for deltas in (student, teacher))
    return torch.where(error + margin > teacher_error, error, torch.zeros_like(error))


def soft_kl(of: Tensor, to: Tensor, *, temperature: float) -> Tensor:
    """T² · KL(softmax(to / T) ‖ softmax(of / T)), the mean over rows (n, c); 0 for no rows.

    Source: Hinton, Vinyals, Dean 2015, "Distilling the knowledge in a neural network", section 2.
    """
    log_of, log_to = (log_softmax(logits.float() / temperature, dim=1) for logits in (of, to))
    total = kl_div(log_of, log_to, reduction="sum", log_target=True)
    return total * temperature**2 / max(len(log_of), 1)


def similarities(rows: Tensor, columns: Tensor) -> Tensor:
    """Dot products of (n, d) with (m, d): (n, m)."""
    with torch.autocast(rows.device.type, enabled=False):
        return rows.float() @ columns.float().T
