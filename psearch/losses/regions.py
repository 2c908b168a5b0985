"""Regions in training: which boxes are described, and how wrong class and place are."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, smooth_l1_loss

from psearch import distributed
from psearch.boxes import RegionTargets, encode, match
from psearch.losses.proposals import balanced
from psearch.types import Batch, Boxes, Pick, Propose, SearchOutput


@dataclass(frozen=True)
class RegionSampler:
    """Balanced sampling of proposals and ground truth (Girshick 2015, section 2.3).

    per_image: boxes per image. positive: largest share of persons. A box is a person from overlap
    `foreground` on and background below `background`; between, it is left out.
    """

    per_image: int = 128
    positive: float = 0.5
    foreground: float = 0.5
    background: float = 0.5

    def pick(self, batch: Batch) -> Pick:
        """The pick of training: ground truth joins the proposals, then a balanced set is drawn."""

        def picked(propose: Propose) -> Boxes:
            true = list(zip(batch.boxes, batch.ignore, strict=True))
            candidates = [
                torch.cat([own, boxes[~ignore]]) for own, (boxes, ignore) in zip(propose(), true, strict=True)
            ]
            sides = [self._sides(own, *targets) for own, targets in zip(candidates, true, strict=True)]
            drawn = balanced(sides, count=self.per_image, share=self.positive)
            return [own[torch.cat(rows)] for own, rows in zip(candidates, drawn, strict=True)]

        return picked

    def _sides(self, candidates: Tensor, targets: Tensor, ignore: Tensor) -> tuple[Tensor, Tensor]:
        """(n,) bool each: the candidates that are persons, and those that are background."""
        found = match(candidates, targets, ignore)
        return found.overlap >= self.foreground, (found.overlap < self.background) & ~found.blurred


def region_losses(output: SearchOutput, targets: RegionTargets) -> dict[str, Tensor]:
    """`roi_class`: cross-entropy over all described boxes; `roi_box`: smooth L1 of the persons' deltas,
    divided by the number of all described boxes (Girshick 2015, eq. 1-3)."""
    assert output.box_logits is not None and output.box_deltas is not None
    count, part = max(len(targets.person), 1), distributed.mean_weight(len(targets.person))
    boxes, person = torch.cat(output.boxes), targets.person
    wanted = encode(targets.boxes[person], boxes[person])
    return {
        "roi_class": cross_entropy(output.box_logits.float(), person.long(), reduction="sum") / count * part,
        "roi_box": smooth_l1_loss(output.box_deltas[person].float(), wanted, beta=1.0, reduction="sum")
        / count
        * part,
    }
