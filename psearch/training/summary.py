"""A result in a few lines for a terminal: never a number without what decides it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

SHOWN = ("mAP", "top1", "top5", "top10", "detection_AP", "detection_recall", "gt_mAP", "gt_top1")
RULES = ("score", "nms", "low", "limit", "rerank")


def summary(results: Mapping[str, Any]) -> str:
    """Metrics with their 95% intervals over queries, the protocol, then other galleries and protocols.

    results: as in `results.json`.
    """
    protocol = results["protocol"]
    rules = [f"{name} {protocol[name]}" for name in RULES if protocol[name] is not None]
    place = f"{protocol['dataset']} ({protocol['fingerprint']}) {protocol['split']}"
    lines = [
        _metrics(results["metrics"], results["intervals"]),
        f"measured on {place}: {', '.join([_searched(protocol), *rules])}",
    ]
    for name, other in results["searches"].items():
        lines.append(f"{name}: {_metrics(other, {})}; {_searched(other)}")
    return "\n".join(lines)


def _metrics(metrics: Mapping[str, Any], intervals: Mapping[str, Any]) -> str:
    return ", ".join(_percent(name, metrics[name], intervals.get(name)) for name in SHOWN if name in metrics)


def _percent(name: str, value: float, interval: tuple[float, float] | None) -> str:
    text = f"{name} {100 * value:.1f} %"
    return text if interval is None else f"{text} ({100 * interval[0]:.1f} to {100 * interval[1]:.1f})"


def _searched(protocol: Mapping[str, Any]) -> str:
    return ", ".join(_counts(protocol))


def _counts(protocol: Mapping[str, Any]) -> Iterator[str]:
    size = protocol["gallery_size"]
    yield f"{protocol['mode']}, {'whole gallery' if size == -1 else f'gallery {size}'}"
    yield f"{protocol['queries']} queries"
    if protocol["queries_without_detection"]:
        yield f"{protocol['queries_without_detection']} without detection"
    if protocol["skipped"]:
        yield f"{len(protocol['skipped'])} skipped, nobody to find"
