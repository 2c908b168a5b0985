"""Losses of a query-guided network: where the query's person is in each scene (Munjal et al. 2019)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from psearch import distributed
from psearch.boxes import RegionTargets, match
from psearch.losses.proposals import ProposalLoss, balanced
from psearch.types import Batch, SearchOutput

Guided = Callable[[SearchOutput, Batch, RegionTargets], Tensor]
"""Output, batch and the targets of its boxes -> a raw loss; called only where the batch has a query."""


@dataclass(frozen=True)
class QueryObjectness:
    """`qrpn_object`: cross-entropy of the second objectness over a sample of anchors, of which only those of
    the query's person are positive.

    proposal_loss: size of the sample and IoU thresholds, as for the first objectness. others: share of the
    sample kept for anchors that match *other* people (our reading: they are what the second objectness has to
    tell apart, and among all the background hardly one would be drawn).
    """

    proposal_loss: ProposalLoss
    others: float = 0.25

    def __call__(self, output: SearchOutput, batch: Batch, targets: RegionTargets) -> Tensor:
        assert output.anchors is not None and output.query_objectness is not None and batch.query is not None
        images = [self._sorted(output.anchors, batch, *each) for each in enumerate(batch.query.ids)]
        size = self.proposal_loss.batch_size_per_image
        few = round(size * self.others)
        others = balanced([(other, other) for _, other, _ in images], count=few, share=1.0)
        drawn = balanced(
            [(person, background) for person, _, background in images],
            count=size - few,
            share=self.proposal_loss.positive_fraction,
        )
        logits, truth = [], []
        for objectness, (wrong, _), (right, rest) in zip(output.query_objectness, others, drawn, strict=True):
            logits.append(objectness[torch.cat([right, wrong, rest])])
            truth += [torch.ones_like(right), torch.zeros_like(wrong), torch.zeros_like(rest)]
        labels = torch.cat(truth).float()
        total = binary_cross_entropy_with_logits(torch.cat(logits).float(), labels, reduction="sum")
        return total / max(len(labels), 1) * distributed.mean_weight(len(labels))

    def _sorted(self, anchors: Tensor, batch: Batch, image: int, wanted: Tensor) -> tuple[Tensor, ...]:
        """Masks (a,) of the anchors of the query's person, of other people, of the background."""
        boxes, ids = batch.boxes[image], batch.ids[image]
        ignore = batch.ignore[image]
        matched = match(anchors, boxes, ignore)
        person, background = self.proposal_loss.foreground_background(matched, anchors, boxes[~ignore])
        same = person & (ids[matched.target] == wanted) if len(ids) else person
        return same, person & ~same, background


def similarity(output: SearchOutput, batch: Batch, targets: RegionTargets) -> Tensor:
    """Cross-entropy of the similarity over all described boxes, of which those of the query's person are
    positive: mean over boxes."""
    assert output.similarity is not None and batch.query is not None
    counts = torch.tensor([len(boxes) for boxes in output.boxes], device=targets.ids.device)
    wanted = batch.query.ids.repeat_interleave(counts)
    same = targets.person & (targets.ids == wanted)
    total = binary_cross_entropy_with_logits(output.similarity.float(), same.float(), reduction="sum")
    return total / max(len(same), 1) * distributed.mean_weight(len(same))
