"""The flat, named numbers of `results.json`."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.stats import bootstrap

from psearch.evaluation.detection import coco_AP, evaluate_detection
from psearch.evaluation.result import SearchResult
from psearch.types import Detections, Scene


def detection_metrics(
    scenes: Sequence[Scene],
    detections: Sequence[Detections],
    *,
    score_threshold: float,
    low_score_threshold: float,
) -> dict[str, float]:
    """Detection at two score thresholds, of labelled people only, and by COCO's rule over all scores."""
    high = evaluate_detection(scenes, detections, score_threshold=score_threshold)
    more = evaluate_detection(scenes, detections, score_threshold=low_score_threshold)
    labelled = evaluate_detection(scenes, detections, score_threshold=score_threshold, labelled_only=True)
    coco = coco_AP(scenes, detections)
    return {
        "detection_AP": high.AP,
        "detection_recall": high.recall,
        "detection_AP_low": more.AP,
        "detection_recall_low": more.recall,
        "detection_AP_labelled": labelled.AP,
        "detection_recall_labelled": labelled.recall,
        "detection_AP_coco": coco.AP,
        "detection_AP50_coco": coco.AP50,
    }


def search_counts(result: SearchResult) -> dict[str, object]:
    """What a search's numbers rest on; queries: those that count."""
    return {
        "queries": int(result.counted.sum()),
        "queries_without_detection": result.queries_without_detection,
        "skipped": result.skipped,
    }


def search_intervals(result: SearchResult) -> dict[str, list[float]]:
    """95% bootstrap intervals over queries of mAP and top-1."""
    values = {"mAP": result.AP, "top1": result.hits(1).astype(float)}
    return {name: list(bootstrap_interval(per[result.counted])) for name, per in values.items()}


def per_query(result: SearchResult) -> dict[str, list[float | None]]:
    """AP and top-1 in protocol order; None where a query was skipped."""
    values = {"AP": result.AP, "top1": result.hits(1).astype(float)}
    return {name: _or_none(per, result.counted) for name, per in values.items()}


def _or_none(values: np.ndarray, counted: np.ndarray) -> list[float | None]:
    return [float(value) if there else None for value, there in zip(values, counted, strict=True)]


def bootstrap_interval(
    values: np.ndarray, *, confidence: float = 0.95, resamples: int = 2000, seed: int = 0
) -> tuple[float, float]:
    """Percentile bootstrap interval of the mean of values (Q,), resampling queries; the same for a seed.

    It says how the number would vary with other queries of the same benchmark, not with other trainings. One
    query has no spread: its interval is its value.
    """
    if len(values) < 2:
        return float(values.mean()), float(values.mean())
    drawn = bootstrap(
        (values,),
        np.mean,
        method="percentile",
        confidence_level=confidence,
        n_resamples=resamples,
        batch=max(1, 2**22 // len(values)),
        rng=np.random.default_rng(seed),
    )
    return float(drawn.confidence_interval.low), float(drawn.confidence_interval.high)
