"""From a network, or from its detections, to the numbers of `results.json`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from psearch import distributed
from psearch.evaluation.describe import describe, redescribe
from psearch.evaluation.inference import Network
from psearch.evaluation.metrics import detection_metrics, per_query, search_counts, search_intervals
from psearch.evaluation.pairwise_inference import Finds, PairSearch
from psearch.evaluation.protocols import Protocol, asked, named
from psearch.evaluation.result import Evaluation, SearchResult
from psearch.evaluation.search import Rerank, gallery_size, search_finds, search_galleries
from psearch.types import Batch, Detections, Query, Split

OWN = "own"

EMBEDDING = "embedding"
"""How the record calls a similarity of embeddings, each made without the other."""

Galleries = Mapping[str, Sequence[Query]]


class Evaluator:
    """Measures search and detection on a split.

    score: lowest score of a detection that is ranked, and the threshold detection is measured at. nms: IoU
    above which a detection is dropped. low: the second, lower threshold detection is measured at. limit:
    most detections per scene. protocol: name of the search protocol; also: names of further ones whose
    results stand beside it (see `protocols`). rerank: see `context`. keep: answers kept for drawing.
    """

    def __init__(
        self,
        *,
        score: float = 0.5,
        nms: float = 0.4,
        low: float = 0.05,
        limit: int = 300,
        protocol: str = "strict",
        also: Sequence[str] = ("strict", "legacy"),
        rerank: Rerank | None = None,
        keep: int = 20,
    ) -> None:
        if not 0 <= low <= score <= 1:
            raise ValueError(f"evaluation needs 0 <= low <= score <= 1, not low={low}, score={score}")
        self.score, self.nms, self.low, self.limit = score, nms, low, limit
        self.protocol = replace(named(protocol), score=score)
        self.also = [replace(named(name), score=score) for name in also if name != protocol]
        self.rerank, self.keep = rerank, keep

    def __call__(
        self,
        network: Network,
        loader: Iterable[Batch],
        split: Split,
        *,
        galleries: Galleries | None = None,
        pairs: PairSearch | None = None,
        device: torch.device | str = "cpu",
    ) -> Evaluation:
        """One pass of the network over the split's scenes, in eval mode, then all metrics.

        loader: brings every scene of the split once, unaugmented. galleries: name -> the split's queries, or
        others, with galleries of their own; see `galleries`. pairs: asks about every (query, scene) pair, for
        a network whose answer depends on the query; detection and `gt_*` are measured without a query then.
        ValueError for context matching of pairs: it compares all people of two scenes.
        """
        if pairs is not None and self.rerank is not None:
            raise ValueError(
                "context matching needs embeddings made without a query: set evaluation.evaluator.rerank=null"
            )
        queries = asked(split.queries, galleries or {})
        said = describe(
            network,
            loader,
            split.scenes,
            queries,
            score=self.low,
            nms=self.nms,
            limit=self.limit,
            device=device,
        )
        perfect = _Found(split, said.people, queries, said.queries, device)
        found = None if said.found is None else replace(perfect, detections=said.found)
        if found is not None and pairs is not None:
            wanted = {OWN: split.queries, **(galleries or {})}
            found = replace(found, finds=self._asked(pairs, found, wanted), similarity=pairs.similarity)
        return distributed.on_first_rank(lambda: self._judged(perfect, found, galleries or {}))

    def _judged(self, perfect: _Found, found: _Found | None, galleries: Galleries) -> Evaluation:
        """The numbers of what a network said of people whose boxes it was given, and of those it found."""
        upper = self._search(perfect, {OWN: perfect.split.queries}, self.protocol)[OWN]
        bound = {"gt_mAP": upper.mAP, "gt_top1": upper.top(1)}
        if found is None:
            return self._evaluation(perfect, upper, bound, {})
        return self._measure(found, galleries, bound)

    def _asked(self, pairs: PairSearch, found: _Found, galleries: Galleries) -> Finds:
        return pairs(
            found.split.scenes,
            found.queries,
            galleries,
            score=self.score,
            nms=self.nms,
            limit=self.limit,
            device=found.device,
        )

    def measure(
        self,
        split: Split,
        detections: Sequence[Detections],
        query_embeddings: np.ndarray,
        *,
        galleries: Galleries | None = None,
        device: torch.device | str = "cpu",
    ) -> Evaluation:
        """All metrics of detections that are there already: no `gt_*`, and `nms` is not known.

        Raises ValueError for galleries with queries that are not the split's: nothing describes them.
        """
        found = _Found(split, detections, split.queries, query_embeddings, device)
        measured = self._measure(found, galleries or {}, {})
        return replace(measured, protocol={**measured.protocol, "nms": None, "limit": None})

    def two_step(
        self,
        network: Network,
        loader: Iterable[Batch],
        split: Split,
        detections: Sequence[Detections],
        *,
        galleries: Galleries | None = None,
        device: torch.device | str = "cpu",
    ) -> Evaluation:
        """One network's detections with the embeddings of another: the reference a re-ID teacher sets."""
        queries = asked(split.queries, galleries or {})
        renamed, vectors = redescribe(network, loader, split.scenes, queries, detections, device=device)
        return self._measure(_Found(split, renamed, queries, vectors, device), galleries or {}, {})

    def _measure(self, found: _Found, galleries: Galleries, bound: Mapping[str, float]) -> Evaluation:
        own = {OWN: found.split.queries}
        results = self._search(found, {**own, **galleries}, self.protocol)
        main = results.pop(OWN)
        searches = {
            name: self._record(found, galleries[name], self.protocol, results[name]) for name in results
        }
        for protocol in self.also:
            other = self._search(found, own, protocol)[OWN]
            searches[protocol.name] = self._record(found, found.split.queries, protocol, other)
        scenes, detections = found.split.scenes, found.detections
        detected = detection_metrics(scenes, detections, score=self.score, low=self.low)
        return self._evaluation(found, main, {**main.metrics(), **detected, **bound}, searches)

    def _search(self, found: _Found, galleries: Galleries, protocol: Protocol) -> dict[str, SearchResult]:
        if found.finds is not None:
            return search_finds(
                found.split.scenes,
                found.finds,
                found.queries,
                galleries,
                protocol=protocol,
                keep=self.keep,
            )
        return search_galleries(
            found.split.scenes,
            found.detections,
            found.queries,
            found.embeddings,
            galleries,
            protocol=protocol,
            rerank=self.rerank,
            keep=self.keep,
            device=found.device,
        )

    def _record(
        self, found: _Found, queries: Sequence[Query], protocol: Protocol, result: SearchResult
    ) -> dict[str, object]:
        size = gallery_size(found.split.scenes, queries, protocol)
        return {"mode": protocol.name, "gallery_size": size, **result.metrics(), **search_counts(result)}

    def _evaluation(
        self,
        found: _Found,
        result: SearchResult,
        metrics: Mapping[str, float],
        searches: dict[str, dict[str, object]],
    ) -> Evaluation:
        return Evaluation(
            metrics=dict(metrics),
            protocol={
                "split": found.split.name,
                "mode": self.protocol.name,
                "score": self.score,
                "low": self.low,
                "nms": self.nms,
                "limit": self.limit,
                "similarity": found.similarity,
                "rerank": None if self.rerank is None else repr(self.rerank),
                **search_counts(result),
            },
            per_query=per_query(result),
            intervals=search_intervals(result),
            searches=searches,
            detections=list(found.detections),
            query_embeddings=found.embeddings[: len(found.split.queries)],
            result=result,
        )


@dataclass(frozen=True, eq=False)
class _Found:
    """What was found in a split, and the embeddings of those who are looked for: its queries, then others.

    finds: what was found for each of the queries, where that differs.
    """

    split: Split
    detections: Sequence[Detections]
    queries: Sequence[Query]
    embeddings: np.ndarray
    device: torch.device | str
    finds: Finds | None = None
    similarity: str = EMBEDDING
