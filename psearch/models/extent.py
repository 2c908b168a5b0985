"""Averages over a picture without the padding beside it, so that a picture's batch-mates change nothing."""

from __future__ import annotations

import torch
from torch import Tensor


def extent(images: Tensor) -> Tensor:
    """Share of height and width (b, 2) that the picture takes in padded images (b, 3, h, w): padding lies at
    the right and bottom and is exactly zero, which no normalised pixel is."""
    there = (images != 0).any(dim=1)
    return torch.stack([_last(there.any(dim=2)), _last(there.any(dim=1))], dim=1)


def average(maps: Tensor, share: Tensor) -> Tensor:
    """Mean over the picture's part of maps (b, c, h, w), given its `extent` (b, 2) -> (b, c)."""
    rows, columns = (_within(size, part) for size, part in zip(maps.shape[-2:], share.unbind(1), strict=True))
    inside = (rows[:, :, None] & columns[:, None, :])[:, None]
    return (maps * inside).sum(dim=(2, 3)) / inside.sum(dim=(2, 3))


def _last(mask: Tensor) -> Tensor:
    """(b, n) bool -> (b,) share of the places up to the last that is true; all, if none is."""
    places = torch.arange(1, mask.shape[1] + 1, device=mask.device)
    last = (mask * places).amax(dim=1)
    return torch.where(last > 0, last, mask.shape[1]) / mask.shape[1]


def _within(size: int, share: Tensor) -> Tensor:
    """(b, size) bool: the places that a picture of that share reaches into, at least one."""
    return torch.arange(size, device=share.device) < (share[:, None] * size).clamp(min=1)
