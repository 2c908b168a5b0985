"""From a network, or from its detections, to the numbers of `results.json`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from psearch.evaluation.asking import Network
from psearch.evaluation.describe import describe, redescribe
from psearch.evaluation.metrics import detection_metrics, per_query, search_counts, search_intervals
from psearch.evaluation.protocols import Protocol, named
from psearch.evaluation.result import SearchResult
from psearch.evaluation.search import Rerank, search_galleries
from psearch.types import Batch, Detections, Query, Split

OWN = "own"


@dataclass(frozen=True, eq=False)
class Evaluation:
    """Everything measured in one evaluation.

    metrics: flat, 0…1, named as in `results.json`. protocol: decisions and counts that belong beside them;
    the caller adds what it knows of the data. per_query: lists in protocol order, None where a query was
    skipped. intervals: 95% bootstrap over queries. searches: name -> metrics and counts under another
    protocol or in another gallery. detections, query_embeddings: what `detections.npz` holds. result: rank
    lists to draw; all of these are of the ground-truth boxes for a network that does not detect.
    """

    metrics: dict[str, float]
    protocol: dict[str, object]
    per_query: dict[str, list[float | None]]
    intervals: dict[str, list[float]]
    searches: dict[str, dict[str, object]]
    detections: list[Detections]
    query_embeddings: np.ndarray
    result: SearchResult


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
        also: Sequence[str] = ("legacy",),
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
        galleries: Mapping[str, Sequence[Query]] | None = None,
        device: torch.device | str = "cpu",
    ) -> Evaluation:
        """One pass of the network over the split's scenes, in eval mode, then all metrics.

        loader: brings every scene of the split once, unaugmented. galleries: name -> (some of) the split's
        queries with other galleries, see `galleries`.
        """
        said = describe(
            network,
            loader,
            split.scenes,
            split.queries,
            score=self.low,
            nms=self.nms,
            limit=self.limit,
            device=device,
        )
        upper = self._search(split, said.people, said.queries, {OWN: split.queries}, self.protocol, device)
        bound = {"gt_mAP": upper[OWN].mAP, "gt_top1": upper[OWN].top(1)}
        if said.found is None:
            return self._evaluation(split, said.people, said.queries, upper[OWN], bound, {})
        return self._measure(split, said.found, said.queries, galleries, bound, device)

    def measure(
        self,
        split: Split,
        detections: Sequence[Detections],
        query_embeddings: np.ndarray,
        *,
        galleries: Mapping[str, Sequence[Query]] | None = None,
        device: torch.device | str = "cpu",
    ) -> Evaluation:
        """All metrics of detections that are there already: no `gt_*`, and `nms` is not known."""
        measured = self._measure(split, detections, query_embeddings, galleries, {}, device)
        return replace(measured, protocol={**measured.protocol, "nms": None, "limit": None})

    def two_step(
        self,
        network: Network,
        loader: Iterable[Batch],
        split: Split,
        detections: Sequence[Detections],
        *,
        galleries: Mapping[str, Sequence[Query]] | None = None,
        device: torch.device | str = "cpu",
    ) -> Evaluation:
        """One network's detections with the embeddings of another: the reference a re-ID teacher sets."""
        renamed, queries = redescribe(network, loader, split.scenes, split.queries, detections, device=device)
        return self._measure(split, renamed, queries, galleries, {}, device)

    def _measure(
        self,
        split: Split,
        detections: Sequence[Detections],
        queries: np.ndarray,
        galleries: Mapping[str, Sequence[Query]] | None,
        bound: Mapping[str, float],
        device: torch.device | str,
    ) -> Evaluation:
        wanted = {OWN: split.queries, **(galleries or {})}
        results = self._search(split, detections, queries, wanted, self.protocol, device)
        main = results.pop(OWN)
        for protocol in self.also:
            own = {OWN: split.queries}
            results[protocol.name] = self._search(split, detections, queries, own, protocol, device)[OWN]
        detected = detection_metrics(split.scenes, detections, score=self.score, low=self.low)
        metrics = {**main.metrics(), **detected, **bound}
        return self._evaluation(split, detections, queries, main, metrics, results)

    def _search(
        self,
        split: Split,
        detections: Sequence[Detections],
        queries: np.ndarray,
        galleries: Mapping[str, Sequence[Query]],
        protocol: Protocol,
        device: torch.device | str,
    ) -> dict[str, SearchResult]:
        return search_galleries(
            split.scenes,
            detections,
            split.queries,
            queries,
            galleries,
            protocol=protocol,
            rerank=self.rerank,
            keep=self.keep,
            device=device,
        )

    def _evaluation(
        self,
        split: Split,
        detections: Sequence[Detections],
        queries: np.ndarray,
        result: SearchResult,
        metrics: Mapping[str, float],
        others: Mapping[str, SearchResult],
    ) -> Evaluation:
        return Evaluation(
            metrics=dict(metrics),
            protocol={
                "split": split.name,
                "mode": self.protocol.name,
                "score": self.score,
                "low": self.low,
                "nms": self.nms,
                "limit": self.limit,
                "rerank": None if self.rerank is None else repr(self.rerank),
                **search_counts(result),
            },
            per_query=per_query(result),
            intervals=search_intervals(result),
            searches={name: {**other.metrics(), **search_counts(other)} for name, other in others.items()},
            detections=list(detections),
            query_embeddings=queries,
            result=result,
        )
