"""Box arithmetic: pure functions on xyxy boxes in pixels, and which ground-truth box a box is matched to."""

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
"""Largest log-scale of a delta; the bound of Faster R-CNN's public implementations."""


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
    """The boxes (…, 4) that deltas (…, 4) describe relative to anchors; inverse of `encode`, rounded as
    torchvision's `BoxCoder` does."""
    size = anchors[..., 2:] - anchors[..., :2]
    centre = (anchors[..., :2] + size / 2) + deltas[..., :2] * size
    half = size * torch.exp(deltas[..., 2:].clamp(max=LARGEST_SCALE)) / 2
    return torch.cat([centre - half, centre + half], dim=-1)


def clip(boxes: Tensor, height: float, width: float) -> Tensor:
    """Boxes (…, 4) cut to a picture of that size."""
    x1, y1, x2, y2 = boxes.unbind(-1)
    return torch.stack(
        [x1.clamp(0, width), y1.clamp(0, height), x2.clamp(0, width), y2.clamp(0, height)], dim=-1
    )


class Match(NamedTuple):
    """For each of n boxes, (n,) each. target: index of the ground-truth box with the highest IoU, 0 where
    there is none. iou: that IoU. on_ignored: mostly over a box marked "ignore", so neither person nor
    background."""

    target: Tensor
    iou: Tensor
    on_ignored: Tensor


def match(boxes: Tensor, targets: Tensor, ignore: Tensor) -> Match:
    """Boxes (n, 4) against targets (m, 4) with `ignore` (m,) bool; xyxy, any one unit."""
    nothing = boxes.new_zeros(len(boxes))
    if len(targets) == 0:
        return Match(nothing.long(), nothing, nothing.bool())
    ious = box_iou(boxes, targets)
    iou, target = ious.masked_fill(ignore, 0.0).max(dim=1)
    ignored = ious.masked_fill(~ignore, 0.0).amax(dim=1)
    return Match(target, iou, (ignored > 0.4) & (ignored > iou))


def foreground_background(
    matched: Match, *, fg_iou_thresh: float, bg_iou_thresh: float, allow_low_quality_matches: bool = False
) -> tuple[Tensor, Tensor]:
    """(n,) bool each: the boxes that are a person, and those that are background; the rest is left out.

    A box is a person from IoU `fg_iou_thresh` on and background below `bg_iou_thresh`, unless it is mostly
    over an ignored one. allow_low_quality_matches: a box that no other beats for its ground-truth box is a
    person, too, with an IoU above 0.1. Source: Ren et al. 2015, section 3.1.2; the names are torchvision's.
    """
    person = matched.iou >= fg_iou_thresh
    if allow_low_quality_matches:
        person = person | _best_of_target(matched)
    return person, (matched.iou < bg_iou_thresh) & ~matched.on_ignored & ~person


def _best_of_target(matched: Match) -> Tensor:
    target, iou = matched.target, matched.iou
    highest = iou.new_zeros(int(target.max()) + 1).scatter_reduce(0, target, iou, "amax")
    return (iou > 0.1) & (iou >= highest[target])


def best_of_any(boxes: Tensor, targets: Tensor) -> Tensor:
    """(n,) bool: the boxes (n, 4) that no other beats for one of the targets (m, 4)."""
    if len(targets) == 0:
        return torch.zeros(len(boxes), dtype=torch.bool, device=boxes.device)
    ious = box_iou(boxes, targets)
    highest = ious.amax(dim=0)
    unbeaten: Tensor = (ious == highest) & (highest > 0)
    return unbeaten.any(dim=1)


def best_of_each(boxes: Tensor, targets: Boxes, ignore: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """`match` for as many boxes in every image, all images in one go: boxes (b, n, 4), per image targets
    (m, 4) with `ignore` (m,) bool -> the best target of each (b, n, 4) and its IoU (b, n), 0 where there is
    none."""
    real = [xyxy[~skipped] for xyxy, skipped in zip(targets, ignore, strict=True)]
    padded = pad_sequence([*real, boxes.new_zeros(1, 4)], batch_first=True)[:-1]
    corner = torch.maximum(boxes[:, :, None, :2], padded[:, None, :, :2])
    other = torch.minimum(boxes[:, :, None, 2:], padded[:, None, :, 2:])
    shared = (other - corner).clamp(min=0).prod(dim=-1)
    area, target_area = ((xyxy[..., 2:] - xyxy[..., :2]).prod(dim=-1) for xyxy in (boxes, padded))
    iou, target = (shared / (area[:, :, None] + target_area[:, None] - shared)).max(dim=2)
    return padded.gather(1, target[..., None].expand(-1, -1, 4)), iou


@dataclass(frozen=True, eq=False)
class RegionTargets:
    """What the described boxes (N rows, as in `SearchOutput.boxes`) should be.

    person: (N,) bool. boxes: (N, 4) the ground-truth box where `person`. ids: (N,) identity, UNLABELLED for
    people without one; undefined where not `person`.
    """

    person: Tensor
    boxes: Tensor
    ids: Tensor


def region_targets(boxes: Boxes, batch: Batch, fg_iou_thresh: float) -> RegionTargets:
    """Match described boxes (per image, input pixels) to the batch's ground truth: a person from IoU
    `fg_iou_thresh` on."""
    person: list[Tensor] = []
    true: list[Tensor] = []
    ids: list[Tensor] = []
    for described, targets, names, ignore in zip(boxes, batch.boxes, batch.ids, batch.ignore, strict=True):
        matched = match(described, targets, ignore)
        person.append(matched.iou >= fg_iou_thresh)
        true.append(targets[matched.target] if len(targets) else torch.zeros_like(described))
        ids.append(names[matched.target] if len(names) else torch.full_like(matched.target, UNLABELLED))
    return RegionTargets(torch.cat(person), torch.cat(true), torch.cat(ids))
