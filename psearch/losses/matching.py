"""Which boxes and anchors a loss looks at."""

from __future__ import annotations

import torch
from torch import Tensor


def balanced(positive: Tensor, negative: Tensor, *, count: int, share: float) -> tuple[Tensor, Tensor]:
    """Random indices of at most `count` rows, at most `share` of them positive; drawn from torch's global
    generator, which the trainer seeds at every step."""

    def some(mask: Tensor, wanted: int) -> Tensor:
        rows = mask.nonzero()[:, 0]
        return rows[torch.randperm(len(rows), device=rows.device)[:wanted]]

    chosen = some(positive, round(count * share))
    return chosen, some(negative, count - len(chosen))
