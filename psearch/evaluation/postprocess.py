"""From a network's rows to detections in original pixels."""

from __future__ import annotations

import torch
from torch import Tensor
from torchvision.ops import nms as suppress

from psearch.boxes import clip, decode
from psearch.types import Batch, Detections, SearchOutput


def detections(
    output: SearchOutput, batch: Batch, *, score: float, nms: float, limit: int
) -> list[Detections]:
    """What the network found, per image of the batch, best score first, in original pixels.

    output: box_logits, box_deltas and embeddings of the described `boxes`. score: lowest probability of a
    person kept (>=). nms: IoU above which the lower-scored of two is dropped. limit: most per image.
    An embedding belongs to the described box, as in OIM, its box is the refined one.
    """
    if output.box_logits is None or output.box_deltas is None or output.embeddings is None:
        raise ValueError("this network does not detect: give it boxes to describe instead")
    counts = [len(boxes) for boxes in output.boxes]
    people = output.box_logits.float().softmax(dim=1)[:, 1].split(counts)
    deltas, embeddings = output.box_deltas.float().split(counts), output.embeddings.float().split(counts)
    found = []
    for index, boxes in enumerate(output.boxes):
        height, width = batch.sizes[index].tolist()
        refined = clip(decode(deltas[index], boxes.float()), height, width)
        rows = keep(refined, people[index], score=score, nms=nms, limit=limit)
        original = refined[rows] / batch.scales[index]
        found.append(as_detections(original, people[index][rows], embeddings[index][rows]))
    return found


def keep(boxes: Tensor, scores: Tensor, *, score: float, nms: float, limit: int) -> Tensor:
    """Rows (k,) of boxes (n, 4) that survive threshold, lack of area, suppression and limit, best first."""
    rows = torch.nonzero((scores >= score) & (boxes[:, 2:] > boxes[:, :2]).all(dim=1)).flatten()
    return rows[suppress(boxes[rows], scores[rows], nms)[:limit]]


def as_detections(boxes: Tensor, scores: Tensor, embeddings: Tensor) -> Detections:
    """Tensors on any device as arrays in memory."""
    return Detections(
        boxes=boxes.float().cpu().numpy(),
        scores=scores.float().cpu().numpy(),
        embeddings=embeddings.float().cpu().numpy(),
    )
