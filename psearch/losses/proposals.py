"""How wrong the proposal network is (Ren et al. 2015, eq. 1)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, smooth_l1_loss

from psearch import distributed
from psearch.boxes import Match, encode, match
from psearch.types import Batch, SearchOutput


@dataclass(frozen=True)
class ProposalLoss:
    """`rpn_object` and `rpn_box` over a balanced sample of anchors.

    per_image: anchors per image. positive: largest share of persons. An anchor is a person from overlap
    `foreground` on, or if it is the best of a person; background below `background`.
    """

    per_image: int = 256
    positive: float = 0.5
    foreground: float = 0.7
    background: float = 0.3

    def __call__(self, output: SearchOutput, batch: Batch) -> dict[str, Tensor]:
        assert (
            output.anchors is not None and output.objectness is not None and output.anchor_deltas is not None
        )
        anchors, logits, labels, deltas, wanted = output.anchors, [], [], [], []
        everyone = zip(batch.boxes, batch.ignore, strict=True)
        matches = [match(anchors, boxes, ignore) for boxes, ignore in everyone]
        drawn = balanced([self._sides(found) for found in matches], count=self.per_image, share=self.positive)
        said = zip(output.objectness, output.anchor_deltas, batch.boxes, matches, drawn, strict=True)
        for objectness, delta, boxes, found, (chosen, rest) in said:
            logits.append(objectness[torch.cat([chosen, rest])])
            labels.append(torch.cat([torch.ones_like(chosen), torch.zeros_like(rest)]))
            deltas.append(delta[chosen])
            wanted.append(encode(boxes[found.target[chosen]], anchors[chosen]))
        truth = torch.cat(labels).float()
        count, part = max(len(truth), 1), distributed.mean_weight(len(truth))
        scores, offsets = torch.cat(logits).float(), torch.cat(deltas).float()
        return {
            "rpn_object": binary_cross_entropy_with_logits(scores, truth, reduction="sum") / count * part,
            "rpn_box": smooth_l1_loss(offsets, torch.cat(wanted), beta=1 / 9, reduction="sum") / count * part,
        }

    def stands_for(self, found: Match) -> Tensor:
        """(a,) bool: the anchors that stand for a person."""
        return (found.overlap >= self.foreground) | self._best(found.target, found.overlap)

    def _sides(self, found: Match) -> tuple[Tensor, Tensor]:
        """(a,) bool each: the anchors that are persons, and those that are background."""
        person = self.stands_for(found)
        return person, (found.overlap < self.background) & ~found.blurred & ~person

    @staticmethod
    def _best(target: Tensor, overlap: Tensor) -> Tensor:
        """Anchors that nobody beats for their ground-truth box, if they touch it at all."""
        most = overlap.new_zeros(int(target.max()) + 1).scatter_reduce(0, target, overlap, "amax")
        return (overlap > 0.1) & (overlap >= most[target])


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
    for number, theirs in enumerate(distributed.all_gather(sizes)):
        for positive, negative in theirs:
            some = torch.randperm(positive, device=device)[: round(count * share)]
            rest = torch.randperm(negative, device=device)[: count - len(some)]
            if number == distributed.current_rank().number:
                drawn.append((some, rest))
    return [(own[0][some], own[1][rest]) for own, (some, rest) in zip(rows, drawn, strict=True)]
