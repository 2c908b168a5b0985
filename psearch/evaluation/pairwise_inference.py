"""Search by a network whose output depends on the query: all pairs of a query and a scene of its gallery."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from typing import Protocol

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from psearch import distributed
from psearch.evaluation.describe import detections
from psearch.evaluation.inference import evaluating
from psearch.evaluation.protocols import rows_among
from psearch.types import Batch, Detections, Query, Scene, SearchOutput

Encoded = Mapping[str, Tensor]
"""Pictures encoded before scene and query are matched: tensors whose rows are the pictures."""

ReadScenes = Callable[[Sequence[int]], Iterable[Batch]]
"""Indices of scenes -> those scenes in batches, unaugmented, each once."""

PairDetections = list[dict[int, Detections]]
"""For each query: scene -> what was detected there for it, with the similarity (n, 1) as "embedding"."""


class QueryConditioned(Protocol):
    """The two halves of a query-conditioned forward, so that the first is done once per picture."""

    @property
    def parts(self) -> tuple[str, ...]:
        """Names of the parts that depend on the query."""

    def encode_scene(self, images: Tensor) -> Encoded:
        """Scenes (b, 3, h, w): all that no query changes."""

    def encode_query(self, images: Tensor, boxes: Tensor) -> Encoded:
        """Queries' pictures (b, 3, h, w) with a box each (b, 4), input pixels: all that no scene changes."""

    def match(self, scene: Encoded, query: Encoded) -> SearchOutput:
        """As many scenes as queries, row by row."""


@dataclass(frozen=True, eq=False)
class PairSearch:
    """Runs a query-conditioned network on all (query, scene of its gallery) pairs.

    The loop over scenes is the outer one: a scene is read and encoded once, and then matched with all queries
    whose gallery lists it, `batch_size` pairs at a time. Encoded queries are kept in memory; those that do
    not fit in `memory_bytes` wait for another round over the scenes. Several ranks share the scenes.
    """

    network: QueryConditioned
    read: ReadScenes
    batch_size: int = 32
    memory_bytes: int = 2**31

    @property
    def similarity(self) -> str:
        """As the record names it."""
        return f"query-conditioned ({', '.join(self.network.parts)})"

    @torch.inference_mode()
    def __call__(
        self,
        scenes: Sequence[Scene],
        queries: Sequence[Query],
        galleries: Mapping[str, Sequence[Query]],
        *,
        score_threshold: float,
        nms_threshold: float,
        max_detections: int,
        device: torch.device | str,
    ) -> PairDetections:
        """What is detected for each query in every scene of its galleries, with at least `score_threshold`;
        the same on all ranks.

        galleries: name -> queries with galleries of their own, see `search_galleries`. nms_threshold,
        max_detections: see `describe.detections`. ValueError names a scene whose output is NaN.
        """
        detect = partial(
            detections,
            score_threshold=score_threshold,
            nms_threshold=nms_threshold,
            max_detections=max_detections,
        )
        listed = _listed(queries, galleries)
        pair_detections: PairDetections = [{} for _ in queries]
        waiting = list(range(len(queries)))
        total = sum(map(len, listed)) // distributed.current_rank().size
        with evaluating(self.network), tqdm(total=total, desc="search", unit="pair", disable=None) as bar:
            while waiting:
                with distributed.single_process():  # every rank needs all queries
                    encoded = self._encode(queries, waiting, device)
                for query, scene, found in self._match(encoded, listed, detect, device):
                    _check(scenes[scene], found)
                    pair_detections[query][scene] = found
                    bar.update()
                waiting = [query for query in waiting if query not in encoded]
        return [
            {scene: found for part in everyone for scene, found in part.items()}
            for everyone in zip(*distributed.all_gather(pair_detections), strict=True)
        ]

    def _encode(
        self, queries: Sequence[Query], waiting: Sequence[int], device: torch.device | str
    ) -> dict[int, Encoded]:
        """The first of the waiting queries, as many as fit in memory, at least one."""
        encoded: dict[int, Encoded] = {}
        inside = defaultdict[int, list[int]](list)
        for query in waiting:
            inside[queries[query].scene].append(query)
        spent = 0
        for batch in self.read(sorted(inside)):
            moved = batch.to(device)
            for row, scene in enumerate(batch.scenes):
                for query in inside[scene]:
                    box = torch.from_numpy(queries[query].box).to(moved.images) * moved.scales[row]
                    state = self.network.encode_query(moved.images[row : row + 1], box[None])
                    encoded[query] = state
                    spent += sum(part.nbytes for part in state.values())
                    if spent >= self.memory_bytes:
                        return encoded
        return encoded

    def _match(
        self,
        encoded: Mapping[int, Encoded],
        listed: Sequence[frozenset[int]],
        detect: Callable[[SearchOutput, Batch], list[Detections]],
        device: torch.device | str,
    ) -> Iterator[tuple[int, int, Detections]]:
        order = sorted(encoded, key=lambda query: _shapes(encoded[query]))
        for batch in self.read(sorted(set().union(*(listed[query] for query in order)))):
            moved = batch.to(device)
            encoded_scenes = self.network.encode_scene(moved.images)
            for _, alike in groupby(order, key=lambda query: _shapes(encoded[query])):
                pairs = [(q, row) for q in alike for row, s in enumerate(batch.scenes) if s in listed[q]]
                for start in range(0, len(pairs), self.batch_size):
                    some = pairs[start : start + self.batch_size]
                    rows = [row for _, row in some]
                    states = [encoded[query] for query, _ in some]
                    joined = {name: torch.cat([state[name] for state in states]) for name in states[0]}
                    matched = {name: part[rows] for name, part in encoded_scenes.items()}
                    output = self.network.match(matched, joined)
                    for (query, row), found in zip(
                        some, detect(_with_similarity(output), _rows(moved, rows)), strict=True
                    ):
                        yield query, batch.scenes[row], found


def _listed(queries: Sequence[Query], galleries: Mapping[str, Sequence[Query]]) -> list[frozenset[int]]:
    """For each query the scenes of all its galleries."""
    listed: list[set[int]] = [set() for _ in queries]
    for wanted in galleries.values():
        for row, query in zip(rows_among(queries, wanted), wanted, strict=True):
            listed[row].update(query.gallery.tolist())
    return [frozenset(scenes) for scenes in listed]


def _shapes(state: Encoded) -> list[tuple[str, tuple[int, ...]]]:
    return [(name, tuple(part.shape)) for name, part in sorted(state.items())]


def _rows(batch: Batch, rows: Sequence[int]) -> Batch:
    """What `detections` reads of a batch, for these rows of it."""
    index = torch.tensor(rows)
    sizes, scales = batch.sizes.cpu()[index], batch.scales.cpu()[index]
    return Batch(batch.images, sizes, scales, [], [], [], [batch.scenes[row] for row in rows])


def _with_similarity(output: SearchOutput) -> SearchOutput:
    """The output with the similarity (0…1, or a cosine where nothing learnt one) in place of embeddings."""
    if output.similarity is not None:
        similar = output.similarity.float().sigmoid()
    else:
        assert output.embeddings is not None and output.query_embeddings is not None
        counts = torch.tensor([len(boxes) for boxes in output.boxes], device=output.embeddings.device)
        queries = output.query_embeddings.repeat_interleave(counts, dim=0)
        similar = (output.embeddings * queries).sum(dim=1)
    return SearchOutput(
        boxes=output.boxes,
        box_logits=output.box_logits,
        box_deltas=output.box_deltas,
        embeddings=similar[:, None],
    )


def _check(scene: Scene, found: Detections) -> None:
    if not np.isfinite(found.embeddings).all():
        raise ValueError(
            f"scene {scene.name}: the network's output for a query holds NaN or infinite values; its "
            "training has diverged or its checkpoint is damaged"
        )
