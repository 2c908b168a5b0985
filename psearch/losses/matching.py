"""Which ground-truth box a box stands for."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torchvision.ops import box_iou


class Match(NamedTuple):
    """For each of n boxes: index of the best ground-truth box (0 where there is none) and its overlap;
    `blurred`: mostly over a box marked "ignore", so neither person nor background."""

    target: Tensor
    overlap: Tensor
    blurred: Tensor


def match(boxes: Tensor, targets: Tensor, ignore: Tensor) -> Match:
    """Boxes (n, 4) against targets (m, 4) with `ignore` (m,) bool; xyxy, any one unit."""
    nothing = boxes.new_zeros(len(boxes))
    if len(targets) == 0:
        return Match(nothing.long(), nothing, nothing.bool())
    overlaps = box_iou(boxes, targets)
    real = overlaps.masked_fill(ignore, 0.0)
    overlap, target = real.max(dim=1)
    ignored = overlaps.masked_fill(~ignore, 0.0).amax(dim=1)
    return Match(target, overlap, (ignored > 0.4) & (ignored > overlap))


def balanced(positive: Tensor, negative: Tensor, *, count: int, share: float) -> tuple[Tensor, Tensor]:
    """Random indices of at most `count` rows, at most `share` of them positive; drawn from torch's global
    generator, which the trainer seeds at every step."""

    def some(mask: Tensor, wanted: int) -> Tensor:
        rows = mask.nonzero()[:, 0]
        return rows[torch.randperm(len(rows), device=rows.device)[:wanted]]

    chosen = some(positive, round(count * share))
    return chosen, some(negative, count - len(chosen))
