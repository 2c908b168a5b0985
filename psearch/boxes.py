"""Box arithmetic: pure functions on xyxy boxes in pixels, and which true box a box stands for."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from torchvision.ops import box_iou

from psearch.types import UNLABELLED, Batch, Boxes

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


def best_of_each(boxes: Tensor, targets: Boxes, ignore: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """`match` for as many boxes in every image, all images in one go: boxes (b, n, 4), per image targets
    (m, 4) with `ignore` (m,) bool -> the best target of each (b, n, 4) and its overlap (b, n), 0 where
    there is none."""
    real = [own[~skipped] for own, skipped in zip(targets, ignore, strict=True)]
    padded = pad_sequence([*real, boxes.new_zeros(1, 4)], batch_first=True)[:-1]
    corner = torch.maximum(boxes[:, :, None, :2], padded[:, None, :, :2])
    other = torch.minimum(boxes[:, :, None, 2:], padded[:, None, :, 2:])
    shared = (other - corner).clamp(min=0).prod(dim=-1)
    areas = [(own[..., 2:] - own[..., :2]).prod(dim=-1) for own in (boxes, padded)]
    overlap, target = (shared / (areas[0][:, :, None] + areas[1][:, None] - shared)).max(dim=2)
    return padded.gather(1, target[..., None].expand(-1, -1, 4)), overlap


@dataclass(frozen=True, eq=False)
class RegionTargets:
    """What the described boxes (N rows, as in `SearchOutput.boxes`) should be.

    person: (N,) bool. boxes: (N, 4) the true box where `person`. ids: (N,) identity, UNLABELLED for people
    without one; undefined where not `person`.
    """

    person: Tensor
    boxes: Tensor
    ids: Tensor


def region_targets(boxes: Boxes, batch: Batch, foreground: float) -> RegionTargets:
    """Match described boxes (per image, input pixels) to the batch's ground truth."""
    matches: list[Match] = []
    true: list[Tensor] = []
    ids: list[Tensor] = []
    for own, targets, names, ignore in zip(boxes, batch.boxes, batch.ids, batch.ignore, strict=True):
        found = match(own, targets, ignore)
        matches.append(found)
        true.append(targets[found.target] if len(targets) else torch.zeros_like(own))
        ids.append(names[found.target] if len(names) else torch.full_like(found.target, UNLABELLED))
    person = torch.cat([found.overlap >= foreground for found in matches])
    return RegionTargets(person, torch.cat(true), torch.cat(ids))
