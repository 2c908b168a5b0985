"""Inference: a network on its own proposals and on given boxes, in one forward per scene."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Protocol

import numpy as np
import torch
from torch import Tensor, nn
from tqdm import tqdm

from psearch import distributed
from psearch.types import Batch, Boxes, Detections, Pick, Propose, Scene, SearchOutput


class SearchNetwork(Protocol):
    """What is evaluated: images (b, 3, h, w) and which boxes to describe -> output."""

    def __call__(self, images: Tensor, pick: Pick, /) -> SearchOutput: ...


Detect = Callable[[SearchOutput, Batch], list[Detections]]


def infer_scenes(
    network: SearchNetwork,
    loader: Iterable[Batch],
    scenes: Sequence[Scene],
    boxes: Sequence[np.ndarray],
    *,
    detect: Detect | None = None,
    device: torch.device | str = "cpu",
) -> tuple[list[Detections] | None, list[np.ndarray]]:
    """One forward per scene: what `detect` makes of its proposals, and embeddings (n, d) of its boxes (n, 4).

    boxes: per scene, xyxy, original pixels. loader: brings every scene once, unaugmented, or each of several
    ranks its share: all of them return all scenes. Without `detect` no proposals are computed; the first
    result is None then, and for a network that does not detect.
    ValueError names a scene whose output is NaN, and a scene the loader leaves out.
    """
    found: dict[int, Detections] = {}
    described: dict[int, np.ndarray] = {}
    with evaluating(network):
        for batch in tqdm(loader, desc="evaluate", unit="batch", disable=None):
            moved = batch.to(device)
            wanted = [boxes[i] for i in batch.scenes]
            output, vectors = _infer(network, moved, wanted, propose=detect is not None)
            _check(output, vectors, [scenes[i].name for i in batch.scenes])
            described.update(zip(batch.scenes, vectors, strict=True))
            if detect is not None and output.box_logits is not None:
                found.update(zip(batch.scenes, detect(output, moved), strict=True))
    described = {index: row for part in distributed.all_gather(described) for index, row in part.items()}
    found = {index: each for part in distributed.all_gather(found) for index, each in part.items()}
    missing = [scene.name for index, scene in enumerate(scenes) if index not in described]
    if missing:
        raise ValueError(f"the loader left out {len(missing)} scenes, first {missing[0]}: it may drop none")
    order = range(len(scenes))
    return [found[i] for i in order] if found else None, [described[i] for i in order]


@contextmanager
def evaluating(network: object) -> Iterator[None]:
    """Puts a module in eval mode, and afterwards back as it was."""
    modules = list(network.modules()) if isinstance(network, nn.Module) else []
    training = [module.training for module in modules]
    if isinstance(network, nn.Module):
        network.eval()
    try:
        yield
    finally:
        for module, mode in zip(modules, training, strict=True):
            module.training = mode


@torch.inference_mode()
def _infer(
    network: SearchNetwork, batch: Batch, boxes: Sequence[np.ndarray], *, propose: bool
) -> tuple[SearchOutput, list[np.ndarray]]:
    """A network's output on its proposals alone, and its embeddings of `boxes`, for one batch."""
    given = [
        torch.from_numpy(part).to(batch.images.device) * scale
        for part, scale in zip(boxes, batch.scales, strict=True)
    ]

    def pick(proposals: Propose) -> Boxes:
        first = proposals() if propose else [part[:0] for part in given]
        return [torch.cat(pair) for pair in zip(first, given, strict=True)]

    output = network(batch.images, pick)
    if output.embeddings is None:
        raise ValueError("the network gives no embeddings: it cannot be evaluated at person search")
    proposed = [len(all_) - len(part) for all_, part in zip(output.boxes, given, strict=True)]
    sizes = [size for n, part in zip(proposed, given, strict=True) for size in (n, len(part))]
    described = [part.float().cpu().numpy() for part in output.embeddings.split(sizes)[1::2]]
    return _first_rows(output, proposed, sizes), described


def _first_rows(output: SearchOutput, counts: Sequence[int], sizes: Sequence[int]) -> SearchOutput:
    """The output without the rows of the given boxes."""

    def proposed(rows: Tensor | None) -> Tensor | None:
        return None if rows is None else torch.cat(rows.split(list(sizes))[::2])

    return replace(
        output,
        boxes=[boxes[:n] for boxes, n in zip(output.boxes, counts, strict=True)],
        box_logits=proposed(output.box_logits),
        box_deltas=proposed(output.box_deltas),
        embeddings=proposed(output.embeddings),
        scores=proposed(output.scores),
    )


def _check(output: SearchOutput, described: Sequence[np.ndarray], names: Sequence[str]) -> None:
    """ValueError naming the first scene whose output holds NaN or infinity."""
    counts = [len(boxes) for boxes in output.boxes]
    parts = (output.box_logits, output.box_deltas, output.embeddings)
    sound = torch.stack([rows.isfinite().all(dim=1) for rows in parts if rows is not None]).all(dim=0)
    for name, fine, vectors in zip(names, sound.split(counts), described, strict=True):
        if not (fine.all() and np.isfinite(vectors).all()):
            raise ValueError(
                f"scene {name}: the network's output holds NaN or infinite values; "
                "its training has diverged or its checkpoint is damaged"
            )
