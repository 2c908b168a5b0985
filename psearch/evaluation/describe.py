"""Detections and embeddings of a split's scenes and queries, as arrays in original pixels."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch
from torch import Tensor
from torchvision.ops import nms as suppress

from psearch.boxes import clip, decode
from psearch.evaluation.inference import SearchNetwork, infer_scenes
from psearch.types import UNLABELLED, Batch, Detections, Query, Scene, SearchOutput

LEAST_SIDE = 1e-2
"""Shortest side of a detection, input pixels, as in torchvision: what clipping left of a box outside of the
picture is none."""


@dataclass(frozen=True, eq=False)
class Described:
    """Detections and embeddings of one network.

    detections: per scene, or None for a network that does not detect. people: per scene, the ground-truth
    boxes as if they had been detected with score 1: the upper bound of search. queries: (Q, d) embeddings.
    """

    detections: list[Detections] | None
    people: list[Detections]
    queries: np.ndarray


def describe(
    network: SearchNetwork,
    loader: Iterable[Batch],
    scenes: Sequence[Scene],
    queries: Sequence[Query],
    *,
    score_threshold: float = 0.05,
    nms_threshold: float = 0.4,
    max_detections: int = 300,
    device: torch.device | str = "cpu",
) -> Described:
    """Run a network once per scene on [its proposals, the ground-truth boxes, the boxes of the queries
    there].

    A query is a box in its own scene, never a crop: its embedding is that of a detection at the same box.
    loader: see `infer_scenes`. score_threshold, nms_threshold, max_detections: see `detections`.
    """
    people = [scene.boxes[~scene.ignore | (scene.ids != UNLABELLED)] for scene in scenes]
    detect = partial(
        detections,
        score_threshold=score_threshold,
        nms_threshold=nms_threshold,
        max_detections=max_detections,
    )
    found, vectors = infer_scenes(
        network, loader, scenes, _with_queries(people, queries), detect=detect, device=device
    )
    return Described(
        detections=found,
        people=[_perfect(boxes, rows[: len(boxes)]) for boxes, rows in zip(people, vectors, strict=True)],
        queries=_query_rows(people, queries, vectors),
    )


def embed_detections(
    network: SearchNetwork,
    loader: Iterable[Batch],
    scenes: Sequence[Scene],
    queries: Sequence[Query],
    detections: Sequence[Detections],
    *,
    device: torch.device | str = "cpu",
) -> tuple[list[Detections], np.ndarray]:
    """The two-step system: one network's detections, another's embeddings of them and of the queries."""
    boxes = [found.boxes for found in detections]
    _, vectors = infer_scenes(network, loader, scenes, _with_queries(boxes, queries), device=device)
    embedded = [
        replace(found, embeddings=rows[: len(found.boxes)])
        for found, rows in zip(detections, vectors, strict=True)
    ]
    return embedded, _query_rows(boxes, queries, vectors)


def _with_queries(boxes: Sequence[np.ndarray], queries: Sequence[Query]) -> list[np.ndarray]:
    """Each scene's boxes, followed by those of the queries that lie in it, in protocol order."""
    cut: list[list[np.ndarray]] = [[part] for part in boxes]
    for query in queries:
        cut[query.scene].append(query.box[None])
    return [np.concatenate(parts).astype(np.float32) for parts in cut]


def _query_rows(
    boxes: Sequence[np.ndarray], queries: Sequence[Query], vectors: Sequence[np.ndarray]
) -> np.ndarray:
    """Undoes `_with_queries`: rows (Q, d) of the queries, in protocol order."""
    following = [iter(rows[len(part) :]) for part, rows in zip(boxes, vectors, strict=True)]
    rows = [next(following[query.scene]) for query in queries]
    return np.stack(rows) if rows else np.zeros((0, 0), np.float32)


def _perfect(boxes: np.ndarray, embeddings: np.ndarray) -> Detections:
    return Detections(boxes=boxes, scores=np.ones(len(boxes), np.float32), embeddings=embeddings)


def detections(
    output: SearchOutput, batch: Batch, *, score_threshold: float, nms_threshold: float, max_detections: int
) -> list[Detections]:
    """Post-processing: the detections of each image of the batch, best score first, in original pixels.

    output: box_logits, box_deltas and embeddings of the described `boxes`; `scores`, where there are some,
    stand in for the probabilities of the logits. score_threshold: lowest probability of a person kept (>=).
    nms_threshold: IoU above which the lower-scored of two is dropped.
    max_detections: per image. The embedding is computed at the proposal, before box refinement, as in OIM.
    """
    if output.box_logits is None or output.box_deltas is None or output.embeddings is None:
        raise ValueError("this network does not detect: give it boxes instead")
    counts = [len(boxes) for boxes in output.boxes]
    scores = output.box_logits.float().softmax(dim=1)[:, 1] if output.scores is None else output.scores
    people = scores.float().split(counts)
    deltas, embeddings = output.box_deltas.float().split(counts), output.embeddings.float().split(counts)
    found = []
    for index, boxes in enumerate(output.boxes):
        height, width = batch.sizes[index].tolist()
        refined = clip(decode(deltas[index], boxes.float()), height, width)
        rows = postprocess(
            refined,
            people[index],
            score_threshold=score_threshold,
            nms_threshold=nms_threshold,
            max_detections=max_detections,
        )
        original = refined[rows] / batch.scales[index]
        found.append(as_detections(original, people[index][rows], embeddings[index][rows]))
    return found


def postprocess(
    boxes: Tensor, scores: Tensor, *, score_threshold: float, nms_threshold: float, max_detections: int
) -> Tensor:
    """Rows (k,) of boxes (n, 4) left by score threshold, area, non-maximum suppression and number, best
    first."""
    large = (boxes[:, 2:] - boxes[:, :2] >= LEAST_SIDE).all(dim=1)
    rows = torch.nonzero((scores >= score_threshold) & large).flatten()
    return rows[suppress(boxes[rows], scores[rows], nms_threshold)[:max_detections]]


def as_detections(boxes: Tensor, scores: Tensor, embeddings: Tensor) -> Detections:
    """Tensors on any device as arrays in memory."""
    return Detections(
        boxes=boxes.float().cpu().numpy(),
        scores=scores.float().cpu().numpy(),
        embeddings=embeddings.float().cpu().numpy(),
    )
