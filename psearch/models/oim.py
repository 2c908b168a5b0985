"""The OIM person-search network (Xiao et al., CVPR 2017): a C4 Faster R-CNN that also says who."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from psearch.models.align import align
from psearch.models.backbone import Backbone
from psearch.models.network import Network
from psearch.models.proposals import ProposalNetwork
from psearch.models.regions import RegionHead
from psearch.types import Boxes, Pick, Propose, SearchOutput, Tap


def every_proposal(propose: Propose) -> Boxes:
    """The pick of plain detection: describe what was proposed."""
    return propose()


class OIMNetwork(Network):
    """Trunk, proposals, RoIAlign, region head, embedding: one forward for training, search and teaching.

    embedding: length of the identity embedding (256 in the paper). anchor_sizes, aspects: shapes of the
    anchors, input pixels. proposals: budget of the proposal network (see `ProposalNetwork`).
    """

    def __init__(
        self,
        backbone: Backbone,
        *,
        anchor_sizes: Sequence[float],
        aspects: Sequence[float],
        proposals: Mapping[str, Any],
        embedding: int = 256,
    ) -> None:
        super().__init__()
        self.backbone = backbone
        channels, stride = backbone.taps[backbone.tap]
        self.proposals = ProposalNetwork(
            channels, stride=stride, sizes=anchor_sizes, aspects=aspects, **proposals
        )
        self.regions = RegionHead(backbone, embedding=embedding)
        self.embedding_size = embedding

    @property
    def budget(self) -> int:  # type: ignore[override]
        """Proposals that a search describes."""
        return self.proposals.kept[1]

    @property
    def taps(self) -> Mapping[str, Tap]:
        """Feature maps it publishes, by name."""
        return self.backbone.taps

    def forward(self, images: Tensor, pick: Pick = every_proposal) -> SearchOutput:
        """Images (b, 3, h, w), normalised -> everything the network says; `pick` decides which boxes are
        described. Proposals are computed only if `pick` asks for them."""
        features = self.backbone(images)
        shared = features[self.backbone.tap]
        anchors, objectness, deltas = self.proposals(shared)
        proposed: list[Boxes] = []

        def propose() -> Boxes:
            height, width = images.shape[-2:]
            proposed.append(self.proposals.propose(anchors, objectness, deltas, (height, width)))
            return proposed[-1]

        boxes = pick(propose)
        cut = align(
            shared,
            boxes,
            size=self.backbone.region_size,
            stride=self.proposals.stride,
            samples=self.backbone.align_samples,
        )
        logits, box_deltas, embeddings = self.regions(self.backbone.head(cut))
        return SearchOutput(
            features=features,
            anchors=anchors,
            objectness=objectness,
            anchor_deltas=deltas,
            proposals=proposed[-1] if proposed else None,
            boxes=boxes,
            box_logits=logits,
            box_deltas=box_deltas,
            embeddings=embeddings,
        )
