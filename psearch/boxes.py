"""Box arithmetic: pure functions on xyxy boxes in pixels."""

from __future__ import annotations

import math

import torch
from torch import Tensor

LARGEST_SCALE = math.log(1000.0 / 16)
"""Largest log-scale a delta may ask for; the bound of Faster R-CNN's public implementations."""


def encode(boxes: Tensor, anchors: Tensor) -> Tensor:
    """Boxes (n, 4) as deltas (dx, dy, dw, dh) relative to anchors (n, 4).

    Source: Girshick et al. 2014, "bounding-box regression": centre offsets in units of the anchor's
    size, log of the size ratio.
    """
    anchor_size = anchors[..., 2:] - anchors[..., :2]
    box_size = (boxes[..., 2:] - boxes[..., :2]).clamp(min=1e-3)
    offset = ((boxes[..., :2] + boxes[..., 2:]) - (anchors[..., :2] + anchors[..., 2:])) / 2
    return torch.cat([offset / anchor_size, torch.log(box_size / anchor_size)], dim=-1)


def decode(deltas: Tensor, anchors: Tensor) -> Tensor:
    """The boxes (…, 4) that deltas (…, 4) describe relative to anchors; inverse of `encode`."""
    size = anchors[..., 2:] - anchors[..., :2]
    centre = (anchors[..., :2] + anchors[..., 2:]) / 2 + deltas[..., :2] * size
    half = size * torch.exp(deltas[..., 2:].clamp(max=LARGEST_SCALE)) / 2
    return torch.cat([centre - half, centre + half], dim=-1)


def clip(boxes: Tensor, height: float, width: float) -> Tensor:
    """Boxes (…, 4) cut to a picture of that size."""
    x1, y1, x2, y2 = boxes.unbind(-1)
    return torch.stack(
        [x1.clamp(0, width), y1.clamp(0, height), x2.clamp(0, width), y2.clamp(0, height)], dim=-1
    )
