"""The published programs of SeqNet and NAE, imported from a checkout of theirs so that they can be run beside
psearch. Nothing of theirs is in this repository; `load(kind, checkout)` says where it lies.

Both were written for other versions of what they import: stand-ins are put in place of yacs, huepy and
cPickle, of which neither network needs more than a name, and torchvision's ResNet comes without its download.
"""

from __future__ import annotations

import builtins
import importlib
import pickle
import sys
import types
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
import torchvision
from torch import Tensor, nn
from torchvision.models.detection.image_list import ImageList

from psearch.losses import regions

IDENTITIES, QUEUE = 60, 40


class _Node(dict):  # type: ignore[type-arg]
    """What yacs' CfgNode is to their default config."""

    __getattr__ = dict.__getitem__
    __setattr__ = dict.__setitem__  # type: ignore[assignment]

    def clone(self) -> _Node:
        return self


class _AsGiven(nn.Module):
    """In place of their resize and normalisation: pictures as they are, zero-padded to multiples of 32."""

    def forward(self, images: list[Tensor], targets: Any = None) -> tuple[ImageList, Any]:
        sizes = [(image.shape[1], image.shape[2]) for image in images]
        height, width = (-(-max(size[i] for size in sizes) // 32) * 32 for i in (0, 1))
        whole = torch.zeros(len(images), 3, height, width)
        for row, image in zip(whole, images, strict=True):
            row[:, : image.shape[1], : image.shape[2]] = image
        return ImageList(whole, sizes), targets

    def postprocess(self, result: Any, sizes: Any, original: Any) -> Any:
        return result


def load(kind: str, checkout: Path, *, score_threshold: float = 0.5) -> nn.Module:
    """The network of that checkout, `seqnet` or `nae`, with random weights and `IDENTITIES` identities."""
    sys.path.insert(0, str(checkout))
    for name in ("yacs", "yacs.config", "huepy", "cPickle"):
        sys.modules.setdefault(name, types.ModuleType(name))
    sys.modules["yacs.config"].CfgNode = _Node  # type: ignore[attr-defined]
    vars(sys.modules["cPickle"]).update(vars(pickle))
    try:
        with _without_download():
            network = _seqnet(score_threshold) if kind == "seqnet" else _nae(score_threshold)
    finally:
        sys.path.remove(str(checkout))
    network.transform = _AsGiven()
    return network


def _seqnet(score_threshold: float) -> nn.Module:
    cfg = importlib.import_module("defaults").get_default_cfg()
    cfg.MODEL.LOSS.LUT_SIZE, cfg.MODEL.LOSS.CQ_SIZE = IDENTITIES, QUEUE
    cfg.MODEL.ROI_HEAD.SCORE_THRESH_TEST = score_threshold
    network: nn.Module = importlib.import_module("models.seqnet").SeqNet(cfg)
    return network


def _nae(score_threshold: float) -> nn.Module:
    module = importlib.import_module("lib.model.faster_rcnn_norm_aware")
    module.map = lambda *each: list(builtins.map(*each))  # type: ignore[attr-defined]  # as Python 2 has it
    module.NormAwareEmbeddingProj._split_embedding_dim = lambda self: [128, 128]
    module.NormAwareRoiHeads.has_keypoint = False
    phase = {"min_size": 900, "max_size": 1500, "rpn_pre_nms_top_n": 12000, "rpn_post_nms_top_n": 2000}
    phase |= {"rpn_nms_thresh": 0.7, "rpn_positive_overlap": 0.7, "rpn_negative_overlap": 0.3}
    phase |= {"rpn_batch_size": 256, "rpn_fg_fraction": 0.5, "fg_thresh": score_threshold, "nms": 0.4}
    phase |= {"bg_thresh_hi": 0.5, "bg_thresh_lo": 0.1, "rcnn_batch_size": 128, "fg_fraction": 0.5}
    phase |= {"box_regression_weights": [10.0, 10.0, 5.0, 5.0]}
    test = phase | {"rpn_pre_nms_top_n": 6000, "rpn_post_nms_top_n": 300}
    args = types.SimpleNamespace(
        rcnn_bbox_bn=True,
        num_pids=IDENTITIES,
        num_cq_size=QUEUE,
        anchor_scales=(32, 64, 128, 256, 512),
        anchor_ratios=(0.5, 1.0, 2.0),
        train=types.SimpleNamespace(**phase),
        test=types.SimpleNamespace(**test),
    )
    network: nn.Module = module.get_norm_aware_model(args, training=False, pretrained_backbone=False)
    return network


@contextmanager
def _without_download() -> Iterator[None]:
    module = torchvision.models.resnet
    make = module.resnet50
    module.resnet50 = lambda pretrained=False: make(weights=None)  # type: ignore[assignment]
    try:
        yield
    finally:
        module.resnet50 = make


@contextmanager
def first_of_each() -> Iterator[None]:
    """Sampling without chance, in their code and ours alike: the first ones of every kind."""
    draw, ours = torch.randperm, regions.balanced
    torch.randperm = lambda n, **options: torch.arange(n, device=options.get("device"))  # type: ignore

    def in_order(*given: Any, **options: Any) -> Any:
        """Rows as torchvision's sampler leaves them, persons and background mixed, on which the second of two
        samplings depends."""
        drawn = [torch.cat(rows).sort().values for rows in ours(*given, **options)]
        return [(rows, rows[:0]) for rows in drawn]

    regions.balanced = in_order
    try:
        yield
    finally:
        torch.randperm, regions.balanced = draw, ours
