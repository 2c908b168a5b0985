"""Regions in training: which boxes are sampled, and the losses of their class and place."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, smooth_l1_loss

from psearch import distributed
from psearch.boxes import RegionTargets, encode, foreground_background, match
from psearch.losses.proposals import balanced
from psearch.types import Batch, Boxes, Pick, Propose, SearchOutput, Stage, StagedPick


@dataclass(frozen=True)
class RegionSampler:
    """Balanced sampling of proposals and ground truth (Girshick 2015, section 2.3).

    batch_size_per_image: boxes per image. positive_fraction: largest share of persons among them. A box is a
    person from IoU `fg_iou_thresh` on and background below `bg_iou_thresh`; between, it is left out.
    """

    batch_size_per_image: int = 128
    positive_fraction: float = 0.5
    fg_iou_thresh: float = 0.5
    bg_iou_thresh: float = 0.5

    def pick(self, batch: Batch) -> Pick:
        """The pick of training, of every stage: ground truth joins the proposals, then a balanced set is
        drawn."""

        def picked(propose: Propose) -> Boxes:
            true = list(zip(batch.boxes, batch.ignore, strict=True))
            candidates = [
                torch.cat([proposals, boxes[~ignore]])
                for proposals, (boxes, ignore) in zip(propose(), true, strict=True)
            ]
            masks = [self._masks(boxes, *targets) for boxes, targets in zip(candidates, true, strict=True)]
            drawn = balanced(masks, count=self.batch_size_per_image, share=self.positive_fraction)
            return [boxes[torch.cat(rows)] for boxes, rows in zip(candidates, drawn, strict=True)]

        return StagedPick(first=picked, last=picked)

    def _masks(self, candidates: Tensor, targets: Tensor, ignore: Tensor) -> tuple[Tensor, Tensor]:
        """(n,) bool each: the candidates that are persons, and those that are background."""
        return foreground_background(
            match(candidates, targets, ignore),
            fg_iou_thresh=self.fg_iou_thresh,
            bg_iou_thresh=self.bg_iou_thresh,
        )


def region_losses(
    output: SearchOutput | Stage, targets: RegionTargets, *, box_code: Sequence[float] = (1.0, 1.0, 1.0, 1.0)
) -> dict[str, Tensor]:
    """`roi_class`: cross-entropy over all described boxes; `roi_box`: smooth L1 of the persons' deltas, times
    `box_code`, divided by the number of all described boxes (Girshick 2015, eq. 1-3; the code is Faster
    R-CNN's division by the deltas' spread)."""
    assert output.box_logits is not None and output.box_deltas is not None
    count, part = max(len(targets.person), 1), distributed.mean_weight(len(targets.person))
    boxes, person = torch.cat(output.boxes), targets.person
    deltas, wanted = output.box_deltas[person].float(), encode(targets.boxes[person], boxes[person])
    if tuple(box_code) != (1.0, 1.0, 1.0, 1.0):
        deltas, wanted = deltas * deltas.new_tensor(box_code), wanted * wanted.new_tensor(box_code)
    return {
        "roi_class": cross_entropy(output.box_logits.float(), person.long(), reduction="sum") / count * part,
        "roi_box": smooth_l1_loss(deltas, wanted, beta=1.0, reduction="sum") / count * part,
    }
