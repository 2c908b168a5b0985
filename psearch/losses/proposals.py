"""The loss of the region proposal network (Ren et al. 2015, eq. 1)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, smooth_l1_loss

from psearch import distributed
from psearch.boxes import Match, best_of_any, encode, foreground_background, match
from psearch.types import Batch, SearchOutput


@dataclass(frozen=True)
class ProposalLoss:
    """`rpn_object` and `rpn_box` over a balanced sample of anchors.

    batch_size_per_image: anchors per image. positive_fraction: largest share of persons among them.
    fg_iou_thresh: an anchor is a person from this IoU on, or if it is the best of a person. bg_iou_thresh: it
    is background below this one. shared_best: the best anchor of a person is one even if it overlaps somebody
    else more, and then stands for that one, as in torchvision and so in SeqNet and NAE; otherwise a person's
    best is sought among the anchors that overlap nobody more.
    """

    batch_size_per_image: int = 256
    positive_fraction: float = 0.5
    fg_iou_thresh: float = 0.7
    bg_iou_thresh: float = 0.3
    shared_best: bool = False

    def __call__(self, output: SearchOutput, batch: Batch) -> dict[str, Tensor]:
        assert (
            output.anchors is not None and output.objectness is not None and output.anchor_deltas is not None
        )
        anchors, logits, labels, deltas, wanted = output.anchors, [], [], [], []
        everyone = list(zip(batch.boxes, batch.ignore, strict=True))
        matches = [match(anchors, boxes, ignore) for boxes, ignore in everyone]
        masks = [
            self.foreground_background(matched, anchors, boxes[~ignore])
            for matched, (boxes, ignore) in zip(matches, everyone, strict=True)
        ]
        drawn = balanced(masks, count=self.batch_size_per_image, share=self.positive_fraction)
        images = zip(output.objectness, output.anchor_deltas, batch.boxes, matches, drawn, strict=True)
        for objectness, delta, boxes, matched, (chosen, rest) in images:
            logits.append(objectness[torch.cat([chosen, rest])])
            labels.append(torch.cat([torch.ones_like(chosen), torch.zeros_like(rest)]))
            deltas.append(delta[chosen])
            wanted.append(encode(boxes[matched.target[chosen]], anchors[chosen]))
        truth = torch.cat(labels).float()
        count, part = max(len(truth), 1), distributed.mean_weight(len(truth))
        scores, offsets = torch.cat(logits).float(), torch.cat(deltas).float()
        return {
            "rpn_object": binary_cross_entropy_with_logits(scores, truth, reduction="sum") / count * part,
            "rpn_box": smooth_l1_loss(offsets, torch.cat(wanted), beta=1 / 9, reduction="sum") / count * part,
        }

    def foreground_background(
        self, matched: Match, anchors: Tensor, targets: Tensor
    ) -> tuple[Tensor, Tensor]:
        """(a,) bool each: the anchors that are persons, and those that are background. targets: (m, 4), those
        that are not ignored."""
        person, background = foreground_background(
            matched,
            fg_iou_thresh=self.fg_iou_thresh,
            bg_iou_thresh=self.bg_iou_thresh,
            allow_low_quality_matches=not self.shared_best,
        )
        if not self.shared_best:
            return person, background
        best = best_of_any(anchors, targets)
        return person | best, background & ~best


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
    for number, of_rank in enumerate(distributed.all_gather(sizes)):
        for positive, negative in of_rank:
            some = torch.randperm(positive, device=device)[: round(count * share)]
            rest = torch.randperm(negative, device=device)[: count - len(some)]
            if number == distributed.current_rank().number:
                drawn.append((some, rest))
    return [
        (positive[some], negative[rest])
        for (positive, negative), (some, rest) in zip(rows, drawn, strict=True)
    ]
