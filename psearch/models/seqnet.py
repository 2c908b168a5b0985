"""SeqNet (Li and Miao, AAAI 2021): a Faster R-CNN whose detections a second, norm-aware head describes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn
from torchvision.ops import batched_nms

from psearch.boxes import clip, decode
from psearch.models.backbone import Backbone
from psearch.models.norm_aware import BoxHead, NormAwareHead, box_channels, pooled
from psearch.models.oim import ANCHORS, OIMNetwork, Score, every_proposal
from psearch.models.proposals import clip_each
from psearch.models.regions import DESCRIBED
from psearch.types import Boxes, Pick, SearchOutput, Stage, StagedPick


class FirstHead(nn.Module):
    """Class and box deltas of the first stage: Fast R-CNN's two layers, each on the pooled region map."""

    def __init__(self, backbone: Backbone) -> None:
        super().__init__()
        self.keep_layout = backbone.keep_layout
        self.box_logits = nn.Linear(box_channels(backbone), 2)
        self.boxes = BoxHead(box_channels(backbone), norm=False)

    def forward(self, regions: Tensor) -> dict[str, Tensor]:
        """Region maps (N, c, h, w) -> box_logits (N, 2), box_deltas (N, 4)."""
        flat = pooled(regions, self.keep_layout)
        return {"box_logits": self.box_logits(flat), "box_deltas": self.boxes(flat)}


class SeqNetwork(OIMNetwork):
    """An OIM network of two stages: the first one classifies and moves proposals, and what it detects is what
    the last one, with a region trunk and a head of its own, describes, moves again and embeds.

    To `pick`, the boxes of the first stage are the proposals: all of them in training, and in use what is
    left by `score_threshold`, non-maximum suppression at IoU `nms_threshold` and `max_detections` per image.
    The first stage sees every proposal of the anchors, unless the pick is a `StagedPick`. Boxes that are
    given (a query's, a teacher's) go to the last stage alone. first_score: in use a detection's score is that
    of the first stage (the paper's First Classification Score), not the last one's. The rest: see
    `OIMNetwork`; the defaults are the published ones. Source: Li and Miao 2021, section 3, and its code.
    """

    stages = 2

    def __init__(
        self,
        backbone: Backbone,
        *,
        anchor_sizes: Sequence[float],
        aspects: Sequence[float],
        proposals: Mapping[str, Any],
        embedding: int = 256,
        head: Callable[..., nn.Module] = NormAwareHead,
        box_code: Sequence[float] = (10.0, 10.0, 5.0, 5.0),
        geometry: str = "torchvision",
        score_threshold: float = 0.05,
        nms_threshold: float = 0.4,
        max_detections: int = 300,
        first_score: bool = True,
    ) -> None:
        super().__init__(
            backbone,
            anchor_sizes=anchor_sizes,
            aspects=aspects,
            proposals=proposals,
            embedding=embedding,
            head=head,
            box_code=box_code,
            geometry=geometry,
        )
        for name, value in (("score_threshold", score_threshold), ("nms_threshold", nms_threshold)):
            if not 0 <= value <= 1:
                raise ValueError(f"student.network.{name}={value}: it must be from 0 to 1")
        self.score_threshold, self.nms_threshold = score_threshold, nms_threshold
        self.max_detections, self.first_score = max_detections, first_score
        self.first = FirstHead(backbone)
        self.last = deepcopy(backbone.head)

    @property
    def budget(self) -> int:  # type: ignore[override]
        """Boxes that the last stage describes at most."""
        return min(self.max_detections, self.proposals.post_nms_top_n)

    def _outputs_from(
        self,
        features: Mapping[str, Tensor],
        size: Sequence[int] | Tensor,
        pick: Pick,
        wanted: frozenset[str],
    ) -> SearchOutput:
        shared = features[self.backbone.tap]
        score: Score = cache(lambda: self.proposals(shared))
        first: list[_Refined] = []

        def propose() -> Boxes:
            candidates = _first(pick)(lambda: self._propose(score, size))
            first.append(self._refine(self._stage(shared, candidates), size))
            return first[-1].boxes

        boxes = pick(propose)
        scored: dict[str, Any] = dict(zip(ANCHORS, score(), strict=True)) if wanted & set(ANCHORS) else {}
        described = self._describe(shared, boxes, wanted)
        used = first[-1:] if self.first_score and not self.training and "box_logits" in described else []
        return SearchOutput(
            features=features,
            proposals=first[-1].boxes if first else None,
            boxes=boxes,
            stages=tuple(each.stage for each in first),
            scores=_scores(boxes, used[0], described["box_logits"]) if used else None,
            **scored,
            **described,
        )

    def _stage(self, shared: Tensor, boxes: Boxes) -> Stage:
        """What the first stage says of boxes."""
        outputs = self._plain(self.first(self.backbone.head(self._cut(shared, boxes))))
        return Stage(boxes, outputs["box_logits"], outputs["box_deltas"])

    def _describe(self, shared: Tensor, boxes: Boxes, wanted: frozenset[str]) -> dict[str, Any]:
        if not wanted & DESCRIBED:
            return {}
        cut = self._cut(shared, boxes)
        return self._plain(self.regions(cut, self.last(cut), wanted))

    @torch.no_grad()
    def _refine(self, stage: Stage, size: Sequence[int] | Tensor) -> _Refined:
        """The boxes of the first stage where its deltas move them, within the picture."""
        counts = [len(boxes) for boxes in stage.boxes]
        moved = decode(stage.box_deltas.float(), torch.cat(stage.boxes)).split(counts)
        people = stage.box_logits.float().softmax(dim=1)[:, 1].split(counts)
        refined: Boxes = []
        scores: list[Tensor] = []
        for index, (boxes, score) in enumerate(zip(moved, people, strict=True)):
            if isinstance(size, Tensor):
                boxes = clip_each(boxes[None], size[index : index + 1])[0]
            else:
                boxes = clip(boxes, size[0], size[1])
            rows = slice(None) if self.training else self._detected(boxes, score)
            refined.append(boxes[rows])
            scores.append(score[rows])
        return _Refined(stage, refined, scores)

    def _detected(self, boxes: Tensor, scores: Tensor) -> Tensor:
        """Rows of the first stage's boxes that the last stage sees in use, best first."""
        large = ((boxes[:, 2:] - boxes[:, :2]) >= 1e-2).all(dim=1)
        rows = torch.nonzero((scores > self.score_threshold) & large)[:, 0]
        same = torch.zeros_like(rows)
        return rows[batched_nms(boxes[rows], scores[rows], same, self.nms_threshold)[: self.max_detections]]


class _Refined:
    """What came out of the first stage: its outputs, and per image the moved boxes with their scores."""

    def __init__(self, stage: Stage, boxes: Boxes, scores: list[Tensor]) -> None:
        self.stage, self.boxes, self.scores = stage, boxes, scores


def _first(pick: Pick) -> Pick:
    return pick.first if isinstance(pick, StagedPick) else every_proposal


def _scores(boxes: Boxes, refined: _Refined, logits: Tensor) -> Tensor:
    """(N,) the first stage's score of a described box that comes from there, the last one's of any other."""
    own = logits.float().softmax(dim=1)[:, 1].split([len(each) for each in boxes])
    return torch.cat([_known(*each) for each in zip(boxes, refined.boxes, refined.scores, own, strict=True)])


def _known(boxes: Tensor, refined: Tensor, scores: Tensor, own: Tensor) -> Tensor:
    if not len(refined):
        return own
    same = (boxes[:, None] == refined[None]).all(dim=2)
    return torch.where(same.any(dim=1), scores[same.int().argmax(dim=1)], own)
