"""Unlike things are never compared."""

from __future__ import annotations

from collections.abc import Sequence

from psearch.report.row import Row
from psearch.report.runs import Run

DATA = ("dataset", "fingerprint", "split", "gallery_size", "mode", "rerank")
DETECTION = ("score", "nms", "low", "limit")


def check_protocols(rows: Sequence[Row]) -> None:
    """Raises ValueError, naming the first two rows of unlike protocol and the keys that differ.

    What decides detections (score, nms, low, limit) does not bind a row that detects nothing: a re-ID
    teacher, measured on ground-truth boxes only.
    """
    first: dict[str, tuple[Row, Run]] = {}
    for row in rows:
        for run in row.runs:
            for key in DATA + DETECTION * ("mAP" in run.metrics):
                other = first.setdefault(key, (row, run))[1]
                if run.results["protocol"].get(key) != other.results["protocol"].get(key):
                    raise ValueError(_refusal(first[key], (row, run)))


def similarity_notes(rows: Sequence[Row]) -> list[str]:
    """What must be known where rows search by unlike similarities: they may be compared, as published tables
    do, but not unnoticed: one forward per pair of query and scene has another price than one per scene."""
    named: dict[str, list[str]] = {}
    for row in rows:
        if "mAP" in row.runs[0].metrics:
            kind = row.runs[0].results["protocol"].get("similarity", "embedding")
            named.setdefault(str(kind), []).append(row.label)
    if len(named) < 2:
        return []
    return [
        f"{kind} similarity, one forward per pair of query and scene: {'; '.join(labels)}"
        for kind, labels in named.items()
        if kind != "embedding"
    ]


def _refusal(one: tuple[Row, Run], other: tuple[Row, Run]) -> str:
    (row_a, run_a), (row_b, run_b) = one, other
    a, b = run_a.results["protocol"], run_b.results["protocol"]
    keys = [key for key in DATA + DETECTION if a.get(key) != b.get(key)]
    differences = "; ".join(f"{key}: {a.get(key)!r} and {b.get(key)!r}" for key in keys)
    name_a, name_b = (f"{run.directory.parent.name}/{run.name}" for run in (run_a, run_b))
    return (
        f"'{row_a.label}' ({name_a}) and '{row_b.label}' ({name_b}) were measured by unlike "
        f"protocols ({differences}): compare them in studies of their own, or evaluate one again by the "
        "protocol of the other"
    )
