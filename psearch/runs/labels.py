"""Run name, tags and summary for trackers, and the summary printed at the end."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from psearch import distributed
from psearch.identity import AXES
from psearch.tracking.tracker import Silent, Tracker


def title(variant: Mapping[str, Any]) -> str:
    """What a run is called: `oim tiny identities from reid, seed 1, trainer.epochs=4`."""
    student, compression, teacher, distill = (str(variant[axis]) for axis in AXES)
    plain = "baseline" if compression else "teacher"
    how = plain if distill == "none" else f"{distill} from {teacher}"
    name = " ".join(word for word in (student, compression, how) if word)
    return ", ".join([name, f"seed {variant['seed']}", *map(str, variant["overrides"])])


def tracker_of(
    logger: Callable[..., Tracker],
    directory: Path,
    *,
    config: Mapping[str, Any],
    variant: Mapping[str, Any],
    study: str,
    job_type: str,
    name: str | None = None,
) -> Tracker:
    """The tracker of one run; a silent one for ranks that do not write. Its config is the resolved one with
    the variant, so that runs can be grouped by the words they were chosen with."""
    make = logger if distributed.is_first() else Silent
    return make(
        directory=directory,
        config={**config, "variant": dict(variant)},
        study=study,
        name=name or title(variant),
        tags=[word for axis in AXES if (word := str(variant[axis])) not in ("", "none")],
        job_type=job_type,
    )


def summary_of(results: Mapping[str, Any]) -> dict[str, float | str]:
    """Numbers of `results.json` under names like `test/mAP`, `cost/parameters` and `protocol/dataset`."""
    split = (results.get("protocol") or {}).get("split", "test")
    rooms = {split: "metrics", "cost": "cost", "training": "training", "protocol": "protocol"}
    return {
        f"{room}/{key}": value
        for room, part in rooms.items()
        for key, value in (results.get(part) or {}).items()
        if isinstance(value, int | float | str)
    }


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
