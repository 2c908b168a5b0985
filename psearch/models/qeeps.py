"""The QEEPS network (Munjal et al., CVPR 2019): person search that is guided by the query all the way."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from psearch.models.backbone import Backbone
from psearch.models.oim import OIMNetwork, every_proposal
from psearch.models.query_guidance import QRPN, QSSE, QSimNet, average, extent
from psearch.types import EVERYTHING, Boxes, Pick, SearchOutput, Sought

EXTENT = "extent"

State = dict[str, Tensor]
"""What is known of pictures before scene and query meet: tensors whose rows are the pictures."""


class QEEPSNetwork(OIMNetwork):
    """An OIM network whose trunk (QSSE), proposals (QRPN) and similarity (QSimNet) look at the query, too.

    qsse, qrpn, qsim: which of the parts there are; with none it *is* an OIM network: same answers, same
    state-dict keys, so that an OIM checkpoint fits. One trunk and one region head serve both pictures.
    Without a query a scene is its own query for QSSE, and the other two parts are silent (our reading): so it
    describes a scene's people for others, and is measured as OIM is. qsse_bias: see `QSSE`. pair_proposals:
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
        qsse: bool = True,
        qrpn: bool = True,
        qsim: bool = True,
        qsse_bias: float | None = 4.0,
        pair_proposals: int | None = None,
    ) -> None:
        super().__init__(
            backbone, anchor_sizes=anchor_sizes, aspects=aspects, proposals=proposals, embedding=embedding
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
    def guide(self) -> QEEPSNetwork | None:
        """Itself, if any of its parts looks at the query."""
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
        query: Sought | None = None,
    ) -> SearchOutput:
        """As `OIMNetwork`; with a query per image also what depends on it."""
        if query is not None and self.parts:
            return self.meet(self.begin(images), self.ask(query.images, query.boxes), pick, wanted)
        if self.qsse is None:
            return super().forward(images, pick, wanted)
        return self._say(self._excite(self.begin(images))[0], images.shape[-2:], pick, wanted)

    def begin(self, images: Tensor) -> State:
        """What a scene's answer needs and no query changes: its feature maps; with QSSE only that of the
        first stage, since everything behind it depends on both pictures."""
        taps = self.backbone.taps
        if self.qsse is None:
            return self.backbone(images)
        first = next(iter(taps))
        return {first: self.backbone.advance(first, images), EXTENT: extent(images)}

    def ask(self, images: Tensor, boxes: Tensor) -> State:
        """The same of a query's picture (b, 3, h, w) with its box (b, 4), input pixels: with QSSE the box and
        the first map, else no more than the region cut out there."""
        if self.qsse is None:
            return {"region": self._cut(self.backbone(images)[self.backbone.tap], list(boxes[:, None]))}
        return self.begin(images) | {"box": boxes}

    def meet(
        self, scene: State, query: State, pick: Pick = every_proposal, wanted: frozenset[str] = EVERYTHING
    ) -> SearchOutput:
        """Scenes and queries, as many of each, row by row -> what is said of each scene to its query."""
        features: Mapping[str, Tensor] = scene
        if self.qsse is None:
            region = query["region"]
        else:
            features, asked = self._excite(scene, query)
            region = self._cut(asked[self.backbone.tap], list(query["box"][:, None]))
        shared = features[self.backbone.tap]
        anchors, objectness, deltas = self.proposals(shared)
        guided = None if self.qrpn is None else self.qrpn(shared, region)
        ranked = objectness if guided is None else objectness + guided
        size = (shared.shape[-2] * self.proposals.stride, shared.shape[-1] * self.proposals.stride)
        proposed: list[Boxes] = []

        def propose() -> Boxes:
            found = self.proposals.propose(anchors, ranked, deltas, size)
            proposed.append(found if self.training else [own[: self.pair_proposals] for own in found])
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

    def _compare(self, shared: Tensor, boxes: Boxes, region: Tensor) -> dict[str, Tensor]:
        """What is said of the boxes and of the queries' regions (b, c, *region_size). All of them go through
        the head at once, so that its norms see one mixture in training and in use."""
        regions = self.backbone.head(torch.cat([self._cut(shared, boxes), region]))
        count = len(regions) - len(region)
        logits, deltas = self.regions.locate(regions[:count])
        embeddings, queries = self.regions.identify(regions).split([count, len(region)])
        said = {"box_logits": logits, "box_deltas": deltas}
        said |= {"embeddings": embeddings, "query_embeddings": queries}
        if self.qsim is not None:
            counts = torch.tensor([len(own) for own in boxes], device=queries.device)
            said["similarity"] = self.qsim(queries.repeat_interleave(counts, dim=0), embeddings)
        return said

    def _excite(self, scene: State, query: State | None = None) -> tuple[State, State]:
        """Both trunks from their first maps on, side by side: tap -> re-weighted maps of scenes, of queries.
        Without queries the scenes are their own."""
        assert self.qsse is not None
        first, *rest = self.backbone.taps
        ours, theirs = scene[first], (scene if query is None else query)[first]
        maps: State = {}
        asked: State = {}
        for tap in (first, *rest):
            if tap != first:
                ours = self.backbone.advance(tap, ours)
                theirs = ours if query is None else self.backbone.advance(tap, theirs)
            here = average(ours, scene[EXTENT])
            weights = self.qsse[tap](here, here if query is None else average(theirs, query[EXTENT]))
            maps[tap] = ours = ours * weights
            if query is not None:
                asked[tap] = theirs = theirs * weights
        return maps, asked
