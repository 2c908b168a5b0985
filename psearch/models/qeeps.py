"""The QEEPS network (Munjal et al., CVPR 2019): person search guided by the query."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from psearch.models.backbone import Backbone
from psearch.models.oim import OIMNetwork, every_proposal
from psearch.models.query_guidance import QRPN, QSSE, QSimNet, masked_mean, valid_ratio
from psearch.models.regions import RegionHead
from psearch.types import EVERYTHING, Boxes, Pick, QueryBatch, SearchOutput

VALID_RATIO = "valid_ratio"

Encoded = dict[str, Tensor]
"""Pictures encoded before scene and query are matched: tensors whose rows are the pictures."""


class QEEPSNetwork(OIMNetwork):
    """An OIM network whose trunk (QSSE), proposals (QRPN) and similarity (QSimNet) depend on the query, too.

    qsse, qrpn, qsim: which of the parts there are; with none it *is* an OIM network: same outputs, same
    state-dict keys, so that an OIM checkpoint fits. One trunk and one region head serve both pictures.
    Without a query a scene is its own query for QSSE, and the other two parts are not used (our reading): so
    it embeds a scene's people as a teacher, and is measured as OIM is. qsse_bias: see `QSSE`. pair_proposals:
    proposals of a scene that are described for a query in use, all by default; training sees all. The rest:
    see `OIMNetwork`. Source of every part: its own file.
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
        qsse: bool = True,
        qrpn: bool = True,
        qsim: bool = True,
        qsse_bias: float | None = 4.0,
        pair_proposals: int | None = None,
    ) -> None:
        super().__init__(
            backbone,
            anchor_sizes=anchor_sizes,
            aspects=aspects,
            proposals=proposals,
            embedding=embedding,
            head=head,
            box_code=box_code,
        )
        self.qsse: nn.ModuleDict | None = None
        self.qrpn: QRPN | None = None
        self.qsim: QSimNet | None = None
        if qsse:
            blocks = {name: QSSE(tap.channels, bias=qsse_bias) for name, tap in backbone.taps.items()}
            self.qsse = nn.ModuleDict(blocks)
        if qrpn:
            shapes = len(self.proposals.sizes) * len(self.proposals.aspects)
            self.qrpn = QRPN(backbone.taps[backbone.tap].channels, shapes)
        if qsim:
            self.qsim = QSimNet(embedding)
        self.pair_proposals = pair_proposals

    @property
    def query_conditioned(self) -> QEEPSNetwork | None:
        """Itself, if any of its parts depends on the query."""
        return self if self.parts else None

    @property
    def parts(self) -> tuple[str, ...]:
        """Names of the parts there are."""
        return tuple(name for name in ("qsse", "qrpn", "qsim") if getattr(self, name) is not None)

    def forward(
        self,
        images: Tensor,
        pick: Pick = every_proposal,
        wanted: frozenset[str] = EVERYTHING,
        query: QueryBatch | None = None,
    ) -> SearchOutput:
        """As `OIMNetwork`; with a query per image also what depends on it."""
        if query is not None and self.parts:
            scene = self.encode_scene(images)
            return self.match(scene, self.encode_query(query.images, query.boxes), pick, wanted)
        if self.qsse is None:
            return super().forward(images, pick, wanted)
        features, _ = self._trunk_with_qsse(self.encode_scene(images))
        return self._outputs_from(features, images.shape[-2:], pick, wanted)

    def encode_scene(self, images: Tensor) -> Encoded:
        """The part of the forward on scenes that no query changes: the feature maps; with QSSE only that of
        the first stage, since everything behind it depends on both pictures."""
        taps = self.backbone.taps
        if self.qsse is None:
            result: Encoded = self.backbone(images)
            return result
        first = next(iter(taps))
        return {first: self.backbone.advance(first, images), VALID_RATIO: valid_ratio(images)}

    def encode_query(self, images: Tensor, boxes: Tensor) -> Encoded:
        """The same of a query's picture (b, 3, h, w) with its box (b, 4), input pixels: with QSSE the box and
        the first map, else no more than the region cut out there."""
        if self.qsse is None:
            return {"region": self._cut(self.backbone(images)[self.backbone.tap], list(boxes[:, None]))}
        return self.encode_scene(images) | {"box": boxes}

    def match(
        self, scene: Encoded, query: Encoded, pick: Pick = every_proposal, wanted: frozenset[str] = EVERYTHING
    ) -> SearchOutput:
        """Scenes and queries, as many of each, row by row -> the output for each scene given its query."""
        features: Mapping[str, Tensor] = scene
        if self.qsse is None:
            region = query["region"]
        else:
            features, query_maps = self._trunk_with_qsse(scene, query)
            region = self._cut(query_maps[self.backbone.tap], list(query["box"][:, None]))
        shared = features[self.backbone.tap]
        anchors, objectness, deltas = self.proposals(shared)
        guided = None if self.qrpn is None else self.qrpn(shared, region)
        ranked = objectness if guided is None else objectness + guided
        size = (shared.shape[-2] * self.proposals.stride, shared.shape[-1] * self.proposals.stride)
        proposed: list[Boxes] = []

        def propose() -> Boxes:
            boxes = self.proposals.propose(anchors, ranked, deltas, size)
            proposed.append(boxes if self.training else [best[: self.pair_proposals] for best in boxes])
            return proposed[-1]

        boxes = pick(propose)
        return SearchOutput(
            features=features,
            anchors=anchors,
            objectness=objectness,
            anchor_deltas=deltas,
            query_objectness=guided,
            proposals=proposed[-1] if proposed else None,
            boxes=boxes,
            **self._compare(shared, boxes, region),
        )

    def _compare(self, shared: Tensor, boxes: Boxes, region: Tensor) -> dict[str, Any]:
        """The outputs at the boxes and at the queries' regions (b, c, *region_size). All of them go through
        the head at once, so that its norms see one mixture in training and in use."""
        cut = torch.cat([self._cut(shared, boxes), region])
        described = self._plain(self.regions(cut, self.backbone.head(cut)))
        count = len(cut) - len(region)
        outputs = {name: rows[:count] for name, rows in described.items()}
        embeddings, queries = described["embeddings"].split([count, len(region)])
        outputs["query_embeddings"] = queries
        if self.qsim is not None:
            counts = torch.tensor([len(image) for image in boxes], device=queries.device)
            outputs["similarity"] = self.qsim(queries.repeat_interleave(counts, dim=0), embeddings)
        return outputs

    def _trunk_with_qsse(self, scene: Encoded, query: Encoded | None = None) -> tuple[Encoded, Encoded]:
        """The trunk from the first maps on, for scenes and queries side by side: tap -> re-weighted maps of
        the scenes, of the queries. Without queries each scene is its own."""
        assert self.qsse is not None
        first, *rest = self.backbone.taps
        maps, query_maps = scene[first], (scene if query is None else query)[first]
        of_scene: Encoded = {}
        of_query: Encoded = {}
        for tap in (first, *rest):
            if tap != first:
                maps = self.backbone.advance(tap, maps)
                query_maps = maps if query is None else self.backbone.advance(tap, query_maps)
            context = masked_mean(maps, scene[VALID_RATIO])
            other = context if query is None else masked_mean(query_maps, query[VALID_RATIO])
            weights = self.qsse[tap](context, other)
            of_scene[tap] = maps = maps * weights
            if query is not None:
                of_query[tap] = query_maps = query_maps * weights
        return of_scene, of_query
