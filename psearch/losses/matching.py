"""Which boxes and anchors a loss looks at."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from psearch import ranks


def balanced(
    images: Sequence[tuple[Tensor, Tensor]], *, count: int, share: float
) -> list[tuple[Tensor, Tensor]]:
    """For each image, of masks (positive, negative): random indices of at most `count` rows, at most `share`
    of them positive; drawn from torch's global generator, which the trainer seeds at every step.

    Each rank draws for all images of the batch, so that what is drawn does not depend on who has which.
    """
    rows = [(positive.nonzero()[:, 0], negative.nonzero()[:, 0]) for positive, negative in images]
    sizes = [(len(positive), len(negative)) for positive, negative in rows]
    device = rows[0][0].device if rows else None
    drawn = []
    for number, theirs in enumerate(ranks.gather(sizes)):
        for positive, negative in theirs:
            some = torch.randperm(positive, device=device)[: round(count * share)]
            rest = torch.randperm(negative, device=device)[: count - len(some)]
            if number == ranks.me().number:
                drawn.append((some, rest))
    return [(own[0][some], own[1][rest]) for own, (some, rest) in zip(rows, drawn, strict=True)]
