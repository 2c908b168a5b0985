"""Teacher-bounded regression (Chen et al., NIPS 2017)."""

from __future__ import annotations

import torch
from torch import Tensor


def bounded_regression(student: Tensor, teacher: Tensor, truth: Tensor, *, margin: float) -> Tensor:
    """Per row of deltas (n, 4): ‖R_s − y‖² where the student is not better than the teacher by the margin,
    that is ‖R_s − y‖² + m > ‖R_t − y‖²; else 0. Answers (n,)."""
    ours, theirs = ((deltas.float() - truth).square().sum(dim=1) for deltas in (student, teacher))
    return torch.where(ours + margin > theirs, ours, torch.zeros_like(ours))
