"""How far two distributions, or two sets of vectors, are apart: fp32 also under autocast."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import kl_div, log_softmax


def soft_kl(of: Tensor, to: Tensor, *, temperature: float) -> Tensor:
    """T² · KL(softmax(to / T) ‖ softmax(of / T)), the mean over rows (n, c); 0 for no rows.

    Source: Hinton, Vinyals, Dean 2015, "Distilling the knowledge in a neural network", section 2.
    """
    ours, theirs = (log_softmax(logits.float() / temperature, dim=1) for logits in (of, to))
    total = kl_div(ours, theirs, reduction="sum", log_target=True)
    return total * temperature**2 / max(len(ours), 1)


def similarities(rows: Tensor, columns: Tensor) -> Tensor:
    """Dot products of (n, d) with (m, d): (n, m)."""
    with torch.autocast(rows.device.type, enabled=False):
        return rows.float() @ columns.float().T
