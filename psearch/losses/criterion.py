"""The criterion of person search: output and ground truth -> named, unweighted losses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from psearch import distributed
from psearch.boxes import region_targets
from psearch.losses.guided import Guided
from psearch.losses.identity import IdentityMemory
from psearch.losses.proposals import ProposalLoss
from psearch.losses.regions import RegionSampler, region_losses
from psearch.types import Batch, Pick, SearchOutput

LOSSES = ("rpn_object", "rpn_box", "roi_class", "roi_box", "identity")


def stage_losses(stages: int) -> tuple[str, ...]:
    """Names of the losses of the stages before the last one."""
    return tuple(f"stage{number}_{what}" for number in range(1, stages) for what in ("class", "box"))


class SearchCriterion(nn.Module):
    """Detection losses of Faster R-CNN plus the OIM loss over the identity memory.

    weights: loss name -> weight; 0 means "watch only". guided: name -> further loss, for batches with a
    query; the identity loss and its memory then see the queries, too. stages, box_code: of the network, see
    `psearch.models.network.Network`; the stages before the last one have `stage1_class` and `stage1_box` as
    the last has `roi_class` and `roi_box`. Raises ValueError for a name that is none of LOSSES, of a stage or
    in `guided`, or a weight below zero.
    """

    def __init__(
        self,
        memory: IdentityMemory,
        *,
        weights: Mapping[str, float],
        proposal_loss: ProposalLoss,
        region_sampler: RegionSampler,
        guided: Mapping[str, Guided] | None = None,
        stages: int = 1,
        box_code: Sequence[float] = (1.0, 1.0, 1.0, 1.0),
    ) -> None:
        super().__init__()
        self.guided = dict(guided or {})
        self.box_code = tuple(box_code)
        names = (*LOSSES, *stage_losses(stages), *self.guided)
        for name, weight in weights.items():
            if name not in names or weight < 0:
                raise ValueError(f"weight {name}={weight}: losses are {', '.join(names)}, weights at least 0")
        self.weights = {name: float(weights.get(name, 1.0)) for name in names}
        self.memory, self.proposal_loss, self.region_sampler = memory, proposal_loss, region_sampler
        self._seen: list[tuple[Tensor, Tensor]] = []

    def pick(self, batch: Batch) -> Pick:
        """The boxes at which a network in training computes its losses."""
        return self.region_sampler.pick(batch)

    def forward(self, output: SearchOutput, batch: Batch) -> dict[str, Tensor]:
        assert output.embeddings is not None
        targets = region_targets(output.boxes, batch, self.region_sampler.fg_iou_thresh)
        embeddings, ids = output.embeddings[targets.person], targets.ids[targets.person]
        losses = self.proposal_loss(output, batch)
        losses |= region_losses(output, targets, box_code=self.box_code) | self._stages(output, batch)
        if batch.query is not None and output.query_embeddings is not None:
            embeddings = torch.cat([embeddings, output.query_embeddings])
            ids = torch.cat([ids, batch.query.ids])
            losses |= {name: loss(output, batch, targets) for name, loss in self.guided.items()}
        self._seen.append((embeddings.detach(), ids))
        return losses | {"identity": self.memory(embeddings, ids)}

    def _stages(self, output: SearchOutput, batch: Batch) -> dict[str, Tensor]:
        """Class and box losses of the stages before the last one."""
        losses: dict[str, Tensor] = {}
        for number, stage in enumerate(output.stages, start=1):
            targets = region_targets(stage.boxes, batch, self.region_sampler.fg_iou_thresh)
            found = region_losses(stage, targets, box_code=self.box_code)
            losses |= {name.replace("roi", f"stage{number}"): loss for name, loss in found.items()}
        return losses

    @torch.no_grad()
    def after_step(self) -> None:
        """Update the memory with the people of all batches of the step that was just made, batch by batch: on
        every rank those of all ranks."""
        for seen in self._seen:
            self.memory.update(*map(distributed.gather_rows, seen))
        self._seen.clear()
