"""SeqNet (Li and Miao, AAAI 2021) and NAE (Chen et al., CVPR 2020), as their authors' programs save them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from psearch.models.norm_aware import NormAwareHead
from psearch.models.oim import OIMNetwork
from psearch.models.resnet import ResNetC4
from psearch.models.seqnet import SeqNetwork
from psearch.runs.foreign import Import

SIZES, ASPECTS = (32.0, 64.0, 128.0, 256.0, 512.0), (0.5, 1.0, 2.0)
"""Anchors of both programs; a file does not say them, only how many."""

BOX_CODE = (10.0, 10.0, 5.0, 5.0)
BUDGET = {
    "pre_nms_top_n_train": 12000,
    "post_nms_top_n_train": 2000,
    "pre_nms_top_n": 6000,
    "post_nms_top_n": 300,
    "nms_thresh": 0.7,
}
"""Proposals of both programs' default configs."""

DEPTHS: dict[tuple[int, ...], int] = {(2, 2, 2, 2, 2): 18, (3, 4, 6, 3, 2): 34, (3, 4, 6, 3, 3): 50}
"""Blocks of the four stages and convolutions of a block -> ResNet."""

HEADS = "roi_heads."
RENAMED = (
    ("backbone.stem.0.", "backbone.conv1."),
    ("backbone.stem.1.", "backbone.bn1."),
    ("backbone.c2.", "backbone.layer1."),
    ("backbone.c3.", "backbone.layer2."),
    ("backbone.c4.", "backbone.layer3."),
    ("backbone.head.", f"{HEADS}box_head.layer4."),
    ("proposals.head.", "rpn.head."),
    ("first.box_logits.", f"{HEADS}faster_rcnn_predictor.cls_score."),
    ("first.boxes.deltas.0.", f"{HEADS}faster_rcnn_predictor.bbox_pred."),
    ("last.", f"{HEADS}reid_head.layer4."),
    ("regions.projectors.cut.", f"{HEADS}embedding_head.projectors.feat_res4."),
    ("regions.projectors.regions.", f"{HEADS}embedding_head.projectors.feat_res5."),
    ("regions.rescaler.", f"{HEADS}embedding_head.rescaler."),
    ("regions.boxes.deltas.", f"{HEADS}box_predictor.bbox_pred."),
    ("memory.table", f"{HEADS}reid_loss.lut"),
    ("memory.queue", f"{HEADS}reid_loss.cq"),
)
"""Beginning of our name -> beginning of theirs."""


def recognises(names: frozenset[str]) -> bool:
    """Both have a region head with a norm-aware embedding."""
    return f"{HEADS}embedding_head.rescaler.weight" in names and "rpn.head.cls_logits.weight" in names


def network_of(tensors: Mapping[str, Tensor]) -> Import:
    """See `psearch.runs.foreign`. The look-up table and the circular queue come along; where the queue goes
    on writing is not in such a file: at its first row."""
    file = _File(tensors)
    with torch.device("meta"):
        skeleton = file.skeleton().state_dict()
    skeleton = {name: value for name, value in skeleton.items() if name not in ANCHORS}
    shapes = {name: tuple(value.shape) for name, value in skeleton.items()}
    for name in ("table", "queue"):
        shapes[f"memory.{name}"] = tuple(tensors[file.name(f"memory.{name}")].shape)
    names = {name: file.name(name) for name in shapes}
    counters = [name for name in names if name.endswith("num_batches_tracked")]
    for name in (name for name in counters if names[name] not in tensors):
        del names[name]  # torch 0.4 wrote none, and nothing reads them
    given = {name: tensors[theirs] for name, theirs in names.items() if theirs in tensors}
    given |= {name: torch.zeros((), dtype=torch.long) for name in counters if name not in names}
    criterion = {name: value for name, value in given.items() if name.startswith("memory.")}
    network = {name: value for name, value in given.items() if name not in criterion}
    return Import(
        kind=file.kind,
        student=file.student(),
        compression=file.compression(),
        facts={"identities": len(criterion["memory.table"]), "anchor_sizes": list(SIZES), "aspect": 2.0},
        network=network | {name: torch.tensor(values) for name, values in ANCHORS.items()},
        criterion=criterion | {"memory.queue_ptr": torch.zeros((), dtype=torch.long)},
        names=names,
        shapes=shapes,
    )


ANCHORS = {"proposals.sizes": SIZES, "proposals.aspects": ASPECTS}


class _File:
    """What can be read off the names and shapes of such a file. Raises ValueError where it is another size of
    network than is known."""

    def __init__(self, tensors: Mapping[str, Tensor]) -> None:
        self.tensors = tensors
        self.sequential = any(name.startswith(f"{HEADS}reid_head.") for name in tensors)
        self.box_norm = f"{HEADS}box_predictor.bbox_pred.0.weight" in tensors
        self.old_rpn = "rpn.head.conv.weight" in tensors  # before torchvision 0.13
        self.depth = self._depth()
        projectors = (f"{HEADS}embedding_head.projectors.feat_res{n}.0.weight" for n in (4, 5))
        self.embedding = sum(len(self._get(name)) for name in projectors)
        self.anchors = len(self._get("rpn.head.cls_logits.weight"))
        if self.anchors != len(SIZES) * len(ASPECTS):
            raise ValueError(
                f"this {self.kind} has {self.anchors} anchors at a place; only the published "
                f"{len(SIZES) * len(ASPECTS)} are known (sizes {SIZES}, aspects {ASPECTS})"
            )

    @property
    def kind(self) -> str:
        table, queue = (self._get(self.name(f"memory.{part}")) for part in ("table", "queue"))
        return (
            f"{'SeqNet' if self.sequential else 'NAE'} on ResNet-{self.depth} ({len(table)} identities, "
            f"queue {len(queue)})"
        )

    def name(self, ours: str) -> str:
        """Their name of one of our tensors."""
        for beginning, theirs in RENAMED:
            if ours.startswith(beginning):
                name = theirs + ours.removeprefix(beginning)
                break
        else:
            raise AssertionError(ours)
        if self.old_rpn:
            name = name.replace("rpn.head.conv.0.0.", "rpn.head.conv.")
        return (
            name if self.box_norm else name.replace("box_predictor.bbox_pred.0.", "box_predictor.bbox_pred.")
        )

    def skeleton(self) -> OIMNetwork:
        """The network in our words, without numbers."""
        options: dict[str, Any] = {"anchor_sizes": SIZES, "aspects": ASPECTS, "proposals": BUDGET}
        options |= {"embedding": self.embedding, "box_code": BOX_CODE, "geometry": "torchvision"}
        kind = SeqNetwork if self.sequential else OIMNetwork

        def head(backbone: Any, *, embedding: int) -> NormAwareHead:
            return NormAwareHead(backbone, embedding=embedding, box_norm=self.box_norm)

        return kind(ResNetC4(depth=self.depth), head=head, **options)

    def student(self) -> dict[str, Any]:
        """The node of `conf/student` that makes it."""
        weights = {"stage1_box": 10.0} if self.sequential else {"roi_box": 10.0}
        network = "psearch.models.seqnet.SeqNetwork" if self.sequential else "psearch.models.oim.OIMNetwork"
        return {
            "_target_": "psearch.tasks.search.SearchTask",
            "_partial_": True,
            "network": {
                "_target_": network,
                "_partial_": True,
                "embedding": self.embedding,
                "box_code": list(BOX_CODE),
                "geometry": "torchvision",
                "head": {
                    "_target_": "psearch.models.norm_aware.NormAwareHead",
                    "_partial_": True,
                    "box_norm": self.box_norm,
                },
            },
            "memory": {
                "_target_": "psearch.losses.identity.IdentityMemory",
                "_partial_": True,
                "queue": len(self._get(self.name("memory.queue"))),
            },
            "anchors": {"sizes": list(SIZES), "aspects": list(ASPECTS)},
            "weights": weights,
            "loading": {},
        }

    def compression(self) -> dict[str, Any]:
        """The node of `conf/compression` that makes it."""
        return {
            "backbone": {
                "_target_": "psearch.models.resnet.ResNetC4",
                "depth": self.depth,
                "frozen_stem": True,
            },
            "proposals": dict(BUDGET),
            "proposal_loss": {"_target_": "psearch.losses.proposals.ProposalLoss", "shared_best": True},
            "region_sampler": {
                "_target_": "psearch.losses.regions.RegionSampler",
                "bg_iou_thresh": 0.5 if self.sequential else 0.1,
            },
        }

    def _depth(self) -> int:
        stages = (*(f"backbone.layer{n}" for n in (1, 2, 3)), f"{HEADS}box_head.layer4")
        blocks = tuple(self._count(rf"{re.escape(stage)}\.(\d+)\.conv1\.weight") for stage in stages)
        convolutions = self._count(r"backbone\.layer1\.0\.conv(\d)\.weight")
        if (*blocks, convolutions) not in DEPTHS:
            raise ValueError(
                f"a SeqNet or NAE with stages of {blocks} blocks of {convolutions} convolutions is no known "
                f"ResNet; known are {', '.join(str(depth) for depth in DEPTHS.values())}"
            )
        return DEPTHS[(*blocks, convolutions)]

    def _count(self, pattern: str) -> int:
        return sum(re.fullmatch(pattern, name) is not None for name in self.tensors)

    def _get(self, name: str) -> Tensor:
        if name not in self.tensors:
            raise ValueError(f"a SeqNet or NAE without the tensor {name} cannot be read")
        return self.tensors[name]
