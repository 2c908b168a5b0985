"""The OIM person-search network (Xiao et al., CVPR 2017): a C4 Faster R-CNN with an identity embedding."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from torch import Tensor

from psearch.models.backbone import Backbone
from psearch.models.network import Network
from psearch.models.proposals import ProposalNetwork
from psearch.models.regions import RegionHead, align
from psearch.types import EVERYTHING, AnchorGrid, Boxes, Pick, Propose, SearchOutput, Tap

ANCHORS = ("anchors", "objectness", "anchor_deltas")
"""Outputs of the proposal network, in its order."""


def every_proposal(propose: Propose) -> Boxes:
    """The pick of plain detection: describe what was proposed."""
    return propose()


class OIMNetwork(Network):
    """Trunk, proposals, RoIAlign, region head, embedding: one forward for training, search and distillation.

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
        return self.proposals.post_nms_top_n

    @property
    def taps(self) -> Mapping[str, Tap]:
        """Feature maps it publishes, by name."""
        return self.backbone.taps

    @property
    def anchor_grid(self) -> AnchorGrid:
        """The anchors of its proposals."""
        shapes = self.proposals
        return AnchorGrid(tuple(shapes.sizes.tolist()), tuple(shapes.aspects.tolist()), shapes.stride)

    def forward(
        self, images: Tensor, pick: Pick = every_proposal, wanted: frozenset[str] = EVERYTHING
    ) -> SearchOutput:
        """Images (b, 3, h, w), normalised; `pick` decides which boxes are described. Anchors are scored and
        proposals suppressed only if `pick` calls for them or `wanted` names them; regions and embeddings only
        if `wanted` names them."""
        return self._outputs_from(self.backbone(images), images.shape[-2:], pick, wanted)

    def _outputs_from(
        self, features: Mapping[str, Tensor], size: Sequence[int], pick: Pick, wanted: frozenset[str]
    ) -> SearchOutput:
        """All that follows the trunk; size: (height, width) of the images."""
        shared = features[self.backbone.tap]
        score = cache(lambda: self.proposals(shared))
        proposed: list[Boxes] = []

        def propose() -> Boxes:
            anchors, objectness, deltas = score()
            height, width = size
            proposed.append(self.proposals.propose(anchors, objectness, deltas, (height, width)))
            return proposed[-1]

        boxes = pick(propose)
        scored = dict(zip(ANCHORS, score(), strict=True)) if wanted & set(ANCHORS) else {}
        return SearchOutput(
            features=features,
            proposals=proposed[-1] if proposed else None,
            boxes=boxes,
            **scored,
            **self._describe(shared, boxes, wanted),
        )

    def _describe(self, shared: Tensor, boxes: Boxes, wanted: frozenset[str]) -> dict[str, Tensor]:
        """The wanted ones of `box_logits`, `box_deltas` and `embeddings`."""
        if not wanted & {"box_logits", "box_deltas", "embeddings"}:
            return {}
        regions = self.backbone.head(self._cut(shared, boxes))
        outputs: dict[str, Tensor] = {}
        if wanted & {"box_logits", "box_deltas"}:
            outputs["box_logits"], outputs["box_deltas"] = self.regions.locate(regions)
        if "embeddings" in wanted:
            outputs["embeddings"] = self.regions.identify(regions)
        return outputs

    def _cut(self, shared: Tensor, boxes: Boxes) -> Tensor:
        """The shared map (b, c, h, w) at boxes -> (N, c, *region_size)."""
        size, samples = self.backbone.region_size, self.backbone.align_samples
        return align(shared, boxes, size=size, stride=self.proposals.stride, samples=samples)
