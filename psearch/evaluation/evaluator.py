"""From a network, or from its detections, to the numbers of `results.json`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from psearch.evaluation.asking import Network
from psearch.evaluation.describe import describe, redescribe
from psearch.evaluation.detection import evaluate_detection
from psearch.evaluation.protocols import named
from psearch.evaluation.search import SearchResult, search
from psearch.types import Batch, Detections, Split


@dataclass(frozen=True, eq=False)
class Evaluation:
    """Everything measured in one evaluation.

    metrics: flat, 0…1, named as in `results.json`. protocol: the decisions and counts that belong beside
    them; the caller adds what it knows of the data. per_query: lists in protocol order, None where a query
    was skipped. detections, query_embeddings: what `detections.npz` holds. result: rank lists to draw; of
    the search among ground-truth boxes for a network that does not detect.
    """

    metrics: dict[str, float]
    protocol: dict[str, object]
    per_query: dict[str, list[float | None]]
    detections: list[Detections]
    query_embeddings: np.ndarray
    result: SearchResult


class Evaluator:
    """Measures search and detection on a split.

    score: lowest score of a detection that is ranked, and the threshold detection is measured at. nms: IoU
    above which a detection is dropped. low: the second, lower threshold detection is measured at. limit:
    most detections per scene. protocol: name of the search protocol, see `protocols`. keep: answers kept per
    query for drawing.
    """

    def __init__(
        self,
        *,
        score: float = 0.5,
        nms: float = 0.4,
        low: float = 0.05,
        limit: int = 300,
        protocol: str = "strict",
        keep: int = 20,
    ) -> None:
        if not 0 <= low <= score <= 1:
            raise ValueError(f"need 0 <= low <= score <= 1, not low={low}, score={score}")
        self.score, self.nms, self.low, self.limit, self.keep = score, nms, low, limit, keep
        self.protocol = replace(named(protocol), score=score)

    def __call__(
        self, network: Network, loader: Iterable[Batch], split: Split, *, device: torch.device | str = "cpu"
    ) -> Evaluation:
        """One pass of the network over the split's scenes, in eval mode, then all metrics.

        loader: brings every scene of the split once, unaugmented.
        """
        described = describe(
            network,
            loader,
            split.scenes,
            split.queries,
            score=self.low,
            nms=self.nms,
            limit=self.limit,
            device=device,
        )
        upper = self._search(split, described.people, described.queries, device)
        bound = {"gt_mAP": upper.mAP, "gt_top1": upper.top(1)}
        if described.found is None:
            return self._evaluation(split, described.people, described.queries, upper, bound)
        return self._measure(split, described.found, described.queries, bound, device)

    def measure(
        self,
        split: Split,
        detections: Sequence[Detections],
        query_embeddings: np.ndarray,
        *,
        device: torch.device | str = "cpu",
    ) -> Evaluation:
        """All metrics of detections that are there already, without a network: no `gt_*`."""
        return self._measure(split, detections, query_embeddings, {}, device)

    def two_step(
        self,
        network: Network,
        loader: Iterable[Batch],
        split: Split,
        detections: Sequence[Detections],
        *,
        device: torch.device | str = "cpu",
    ) -> Evaluation:
        """One network's detections with the embeddings of another: the reference a re-ID teacher sets."""
        renamed, queries = redescribe(network, loader, split.scenes, split.queries, detections, device=device)
        return self._measure(split, renamed, queries, {}, device)

    def _measure(
        self,
        split: Split,
        detections: Sequence[Detections],
        queries: np.ndarray,
        bound: dict[str, float],
        device: torch.device | str,
    ) -> Evaluation:
        result = self._search(split, detections, queries, device)
        metrics = {**result.metrics(), **self._detection(split, detections), **bound}
        return self._evaluation(split, detections, queries, result, metrics)

    def _search(
        self, split: Split, detections: Sequence[Detections], queries: np.ndarray, device: torch.device | str
    ) -> SearchResult:
        return search(
            split.scenes,
            detections,
            split.queries,
            queries,
            protocol=self.protocol,
            keep=self.keep,
            device=device,
        )

    def _detection(self, split: Split, detections: Sequence[Detections]) -> dict[str, float]:
        high = evaluate_detection(split.scenes, detections, score=self.score)
        low = evaluate_detection(split.scenes, detections, score=self.low)
        labelled = evaluate_detection(split.scenes, detections, score=self.score, labelled_only=True)
        return {
            "detection_AP": high.AP,
            "detection_recall": high.recall,
            "detection_AP_low": low.AP,
            "detection_recall_low": low.recall,
            "detection_AP_labelled": labelled.AP,
            "detection_recall_labelled": labelled.recall,
        }

    def _evaluation(
        self,
        split: Split,
        detections: Sequence[Detections],
        queries: np.ndarray,
        result: SearchResult,
        metrics: dict[str, float],
    ) -> Evaluation:
        counted = result.positives > 0
        return Evaluation(
            metrics=metrics,
            protocol={
                "split": split.name,
                "mode": self.protocol.name,
                "score": self.score,
                "low": self.low,
                "nms": self.nms,
                "limit": self.limit,
                "queries": int(counted.sum()),
                "queries_without_detection": result.queries_without_detection,
                "skipped": result.skipped,
            },
            per_query={
                "AP": _or_none(result.AP, counted),
                "top1": _or_none(result.hits(1).astype(float), counted),
            },
            detections=list(detections),
            query_embeddings=queries,
            result=result,
        )


def _or_none(values: np.ndarray, counted: np.ndarray) -> list[float | None]:
    return [float(value) if there else None for value, there in zip(values, counted, strict=True)]
