"""The OIM person-search network (Xiao et al., CVPR 2017): a C4 Faster R-CNN with an identity embedding."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cache
from typing import Any

from torch import Tensor, nn
from torch.nn.functional import pad

from psearch.models.backbone import Backbone
from psearch.models.network import PLAIN, Network
from psearch.models.proposals import ProposalNetwork
from psearch.models.query_guidance import valid_ratio
from psearch.models.regions import DESCRIBED, RegionHead, align
from psearch.types import EVERYTHING, AnchorGrid, Boxes, Pick, Propose, SearchOutput, Tap

ANCHORS = ("anchors", "objectness", "anchor_deltas")
"""Outputs of the proposal network, in its order."""

PUBLISHED_MULTIPLE = 32
"""torchvision's detectors pad height and width to multiples of this."""

Score = Callable[[], tuple[Tensor, Tensor, Tensor]]
"""Computes `ANCHORS`, once."""


def every_proposal(propose: Propose) -> Boxes:
    """The pick of plain detection: describe what was proposed."""
    return propose()


class OIMNetwork(Network):
    """Trunk, proposals, RoIAlign, region head, embedding: one forward for training, search and distillation.

    embedding: length of the identity embedding (256 in the paper). anchor_sizes, aspects: shapes of the
    anchors, input pixels. proposals: budget of the proposal network (see `ProposalNetwork`). head: makes what
    reads the regions, `RegionHead` or another (see there). box_code: see `Network`; the head's own deltas are
    divided by it. geometry: "centred", or "torchvision" for networks that must compute what their published
    weights were trained with: anchors at cells' corners, RoIAlign without half-pixel correction, pictures
    padded to multiples of 32 and proposals clipped to the picture rather than to the padded batch.
    """

    def __init__(
        self,
        backbone: Backbone,
        *,
        anchor_sizes: Sequence[float],
        aspects: Sequence[float],
        proposals: Mapping[str, Any],
        embedding: int = 256,
        head: Callable[..., nn.Module] = RegionHead,
        box_code: Sequence[float] = (1.0, 1.0, 1.0, 1.0),
        geometry: str = "centred",
    ) -> None:
        super().__init__()
        if geometry not in ("centred", "torchvision"):
            raise ValueError(f"geometry={geometry}: choose centred or torchvision")
        if len(box_code) != 4 or min(box_code) <= 0:
            raise ValueError(f"box_code={list(box_code)}: write four numbers above 0, as in [10,10,5,5]")
        self.backbone = backbone
        self.as_torchvision, self.box_code = geometry == "torchvision", tuple(map(float, box_code))
        channels, stride = backbone.taps[backbone.tap]
        self.proposals = ProposalNetwork(
            channels,
            stride=stride,
            sizes=anchor_sizes,
            aspects=aspects,
            anchored_at="corner" if self.as_torchvision else "centre",
            **proposals,
        )
        self.regions = head(backbone, embedding=embedding)
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
        sizes, aspects = tuple(shapes.sizes.tolist()), tuple(shapes.aspects.tolist())
        return AnchorGrid(sizes, aspects, shapes.stride, corner=self.as_torchvision)

    def forward(
        self, images: Tensor, pick: Pick = every_proposal, wanted: frozenset[str] = EVERYTHING
    ) -> SearchOutput:
        """Images (b, 3, h, w), normalised; `pick` decides which boxes are described. Anchors are scored and
        proposals suppressed only if `pick` calls for them or `wanted` names them; regions and embeddings only
        if `wanted` names them."""
        if not self.as_torchvision:
            return self._outputs_from(self.backbone(images), images.shape[-2:], pick, wanted)
        sizes = (valid_ratio(images) * images.new_tensor(images.shape[-2:])).round()
        output = self._outputs_from(self.backbone(padded(images)), sizes, pick, wanted)
        return replace(output, features=self._without_padding(output.features, images.shape[-2:]))

    def _without_padding(self, features: Mapping[str, Tensor], size: Sequence[int]) -> Mapping[str, Tensor]:
        """The maps of what was padded, as large as those of images of (height, width)."""
        strides = {name: tap.stride for name, tap in self.taps.items()}
        return {
            name: maps[..., : -(-size[0] // strides[name]), : -(-size[1] // strides[name])]
            for name, maps in features.items()
        }

    def _outputs_from(
        self,
        features: Mapping[str, Tensor],
        size: Sequence[int] | Tensor,
        pick: Pick,
        wanted: frozenset[str],
    ) -> SearchOutput:
        """All that follows the trunk; size: (height, width) of the images, or of each picture (b, 2)."""
        shared = features[self.backbone.tap]
        score: Score = cache(lambda: self.proposals(shared))
        proposed: list[Boxes] = []

        def propose() -> Boxes:
            proposed.append(self._propose(score, size))
            return proposed[-1]

        boxes = pick(propose)
        scored: dict[str, Any] = dict(zip(ANCHORS, score(), strict=True)) if wanted & set(ANCHORS) else {}
        return SearchOutput(
            features=features,
            proposals=proposed[-1] if proposed else None,
            boxes=boxes,
            **scored,
            **self._describe(shared, boxes, wanted),
        )

    def _propose(self, score: Score, size: Sequence[int] | Tensor) -> Boxes:
        """Proposals of the scored anchors."""
        anchors, objectness, deltas = score()
        bounds = size if isinstance(size, Tensor) else (size[0], size[1])
        return self.proposals.propose(anchors, objectness, deltas, bounds)

    def _describe(self, shared: Tensor, boxes: Boxes, wanted: frozenset[str]) -> dict[str, Any]:
        """The wanted ones of `DESCRIBED`."""
        if not wanted & DESCRIBED:
            return {}
        cut = self._cut(shared, boxes)
        return self._plain(self.regions(cut, self.backbone.head(cut), wanted))

    def _plain(self, outputs: dict[str, Tensor]) -> dict[str, Tensor]:
        """A head's outputs with plain box deltas, whatever its box code."""
        if self.box_code == PLAIN or "box_deltas" not in outputs:
            return outputs
        deltas = outputs["box_deltas"].float()
        return outputs | {"box_deltas": deltas / deltas.new_tensor(self.box_code)}

    def _cut(self, shared: Tensor, boxes: Boxes) -> Tensor:
        """The shared map (b, c, h, w) at boxes -> (N, c, *region_size)."""
        return align(
            shared,
            boxes,
            size=self.backbone.region_size,
            stride=self.proposals.stride,
            samples=self.backbone.align_samples,
            aligned=not self.as_torchvision,
        )


def padded(images: Tensor) -> Tensor:
    """Images with zeros at the right and bottom, up to multiples of 32."""
    height, width = images.shape[-2:]
    return pad(images, (0, -width % PUBLISHED_MULTIPLE, 0, -height % PUBLISHED_MULTIPLE))
