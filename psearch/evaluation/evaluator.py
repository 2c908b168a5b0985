"""From a network, or from its detections, to the numbers of `results.json`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from psearch import distributed
from psearch.evaluation.describe import describe, embed_detections
from psearch.evaluation.inference import SearchNetwork
from psearch.evaluation.metrics import detection_metrics, per_query, search_counts, search_intervals
from psearch.evaluation.pairwise_inference import PairDetections, PairSearch
from psearch.evaluation.protocols import Protocol, named, queries_to_embed
from psearch.evaluation.result import Evaluation, SearchResult
from psearch.evaluation.search import Rerank, gallery_size, search_galleries, search_per_query
from psearch.types import Batch, Detections, Query, Split

OWN = "own"

WEIGHTED = "embedding, times the detection's score"
"""What the record calls confidence-weighted similarity."""

EMBEDDING = "embedding"
"""What the record calls the similarity of two embeddings that were computed independently."""

Galleries = Mapping[str, Sequence[Query]]


class Evaluator:
    """Measures search and detection on a split.

    score_threshold: lowest score of a detection that is ranked, and that detection is measured at.
    low_score_threshold: the second, lower one that detection is measured at. nms_threshold: IoU above which a
    detection is dropped. max_detections: per scene. protocol: name of the search protocol; also_protocols:
    names of further ones whose results stand beside it (see `protocols`). rerank: see `ContextMatching`.
    confidence_weighted: similarities are multiplied with the score of the detection (CWS, Chen et al. 2020),
    as the evaluators of NAE and SeqNet have it. keep_top: ranked detections kept per query.
    """

    def __init__(
        self,
        *,
        score_threshold: float = 0.5,
        nms_threshold: float = 0.4,
        low_score_threshold: float = 0.05,
        max_detections: int = 300,
        protocol: str = "strict",
        also_protocols: Sequence[str] = ("strict", "legacy"),
        rerank: Rerank | None = None,
        confidence_weighted: bool = False,
        keep_top: int = 20,
    ) -> None:
        if not 0 <= low_score_threshold <= score_threshold <= 1:
            raise ValueError(
                "evaluation needs 0 <= low_score_threshold <= score_threshold <= 1, not "
                f"low_score_threshold={low_score_threshold}, score_threshold={score_threshold}"
            )
        self.score_threshold, self.low_score_threshold = score_threshold, low_score_threshold
        self.nms_threshold, self.max_detections = nms_threshold, max_detections
        self.protocol, *self.also_protocols = (
            replace(named(name), score_threshold=score_threshold)
            for name in (protocol, *(name for name in also_protocols if name != protocol))
        )
        self.rerank, self.keep_top, self.confidence_weighted = rerank, keep_top, confidence_weighted

    def __call__(
        self,
        network: SearchNetwork,
        loader: Iterable[Batch],
        split: Split,
        *,
        galleries: Galleries | None = None,
        pairs: PairSearch | None = None,
        device: torch.device | str = "cpu",
    ) -> Evaluation:
        """One pass of the network over the split's scenes, in eval mode, then all metrics.

        loader: brings every scene of the split once, unaugmented. galleries: name -> the split's queries, or
        others, with galleries of their own; see `galleries`. pairs: searches every (query, scene) pair, for a
        network whose output depends on the query; detection and `gt_*` are measured without a query then.
        ValueError for context matching of pairs: it compares all people of two scenes.
        """
        if pairs is not None and self.rerank is not None:
            raise ValueError(
                "context matching needs embeddings made without a query: set evaluation.evaluator.rerank=null"
            )
        queries = queries_to_embed(split.queries, galleries or {})
        described = describe(
            network,
            loader,
            split.scenes,
            queries,
            score_threshold=self.low_score_threshold,
            nms_threshold=self.nms_threshold,
            max_detections=self.max_detections,
            device=device,
        )
        perfect = _Found(split, described.people, queries, described.queries, device)
        found = None if described.detections is None else replace(perfect, detections=described.detections)
        if found is not None and pairs is not None:
            wanted = {OWN: split.queries, **(galleries or {})}
            detected = self._search_pairs(pairs, found, wanted)
            found = replace(found, pair_detections=detected, similarity=pairs.similarity)
        return distributed.on_first_rank(lambda: self._measure_both(perfect, found, galleries or {}))

    def _measure_both(self, perfect: _Found, found: _Found | None, galleries: Galleries) -> Evaluation:
        """The metrics of the embeddings at ground-truth boxes, and of the detections."""
        upper = self._search(perfect, {OWN: perfect.split.queries}, self.protocol)[OWN]
        bound = {"gt_mAP": upper.mAP, "gt_top1": upper.top(1)}
        if found is None:
            return self._evaluation(perfect, upper, bound, {})
        return self._measure(found, galleries, bound)

    def _search_pairs(self, pairs: PairSearch, found: _Found, galleries: Galleries) -> PairDetections:
        return pairs(
            found.split.scenes,
            found.queries,
            galleries,
            score_threshold=self.score_threshold,
            nms_threshold=self.nms_threshold,
            max_detections=self.max_detections,
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

        Raises ValueError for galleries with queries that are not the split's: they have no embedding.
        """
        found = _Found(split, detections, split.queries, query_embeddings, device)
        measured = self._measure(found, galleries or {}, {})
        return replace(measured, protocol={**measured.protocol, "nms": None, "limit": None})

    def two_step(
        self,
        network: SearchNetwork,
        loader: Iterable[Batch],
        split: Split,
        detections: Sequence[Detections],
        *,
        galleries: Galleries | None = None,
        device: torch.device | str = "cpu",
    ) -> Evaluation:
        """One network's detections with the embeddings of another: the reference a re-ID teacher sets."""
        queries = queries_to_embed(split.queries, galleries or {})
        embedded, vectors = embed_detections(
            network, loader, split.scenes, queries, detections, device=device
        )
        return self._measure(_Found(split, embedded, queries, vectors, device), galleries or {}, {})

    def _measure(self, found: _Found, galleries: Galleries, bound: Mapping[str, float]) -> Evaluation:
        own = {OWN: found.split.queries}
        results = self._search(found, {**own, **galleries}, self.protocol)
        main = results.pop(OWN)
        searches = {
            name: self._record(found, galleries[name], self.protocol, results[name]) for name in results
        }
        for protocol in self.also_protocols:
            other = self._search(found, own, protocol)[OWN]
            searches[protocol.name] = self._record(found, found.split.queries, protocol, other)
        scenes, detections = found.split.scenes, found.detections
        detected = detection_metrics(
            scenes,
            detections,
            score_threshold=self.score_threshold,
            low_score_threshold=self.low_score_threshold,
        )
        return self._evaluation(found, main, {**main.metrics(), **detected, **bound}, searches)

    def _search(self, found: _Found, galleries: Galleries, protocol: Protocol) -> dict[str, SearchResult]:
        if found.pair_detections is not None:
            return search_per_query(
                found.split.scenes,
                found.pair_detections,
                found.queries,
                galleries,
                protocol=protocol,
                keep_top=self.keep_top,
            )
        return search_galleries(
            found.split.scenes,
            found.detections,
            found.queries,
            found.embeddings,
            galleries,
            protocol=protocol,
            rerank=self.rerank,
            confidence_weighted=self.confidence_weighted,
            keep_top=self.keep_top,
            device=found.device,
        )

    def _similarity(self, found: _Found) -> str:
        """What detections are ranked by, as the record names it."""
        weighs = self.confidence_weighted and found.pair_detections is None
        return WEIGHTED if weighs else found.similarity

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
                "score": self.score_threshold,
                "low": self.low_score_threshold,
                "nms": self.nms_threshold,
                "limit": self.max_detections,
                "similarity": self._similarity(found),
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
    """What was detected in a split, and the embeddings of the queries: the split's own, then others.

    pair_detections: what was detected for each of the queries, where that differs.
    """

    split: Split
    detections: Sequence[Detections]
    queries: Sequence[Query]
    embeddings: np.ndarray
    device: torch.device | str
    pair_detections: PairDetections | None = None
    similarity: str = EMBEDDING
