"""Unlike things are never compared unnoticed: refused where numbers mean something else, noted where they
were made differently."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence

from psearch.report.row import Row
from psearch.report.runs import MEASURED, Run

DATA = (*MEASURED, "rerank")
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
                if run.record.protocol.get(key) != other.record.protocol.get(key):
                    raise ValueError(_refusal(first[key], (row, run)))


def _refusal(one: tuple[Row, Run], other: tuple[Row, Run]) -> str:
    (row_a, run_a), (row_b, run_b) = one, other
    a, b = run_a.record.protocol, run_b.record.protocol
    keys = [key for key in DATA + DETECTION if a.get(key) != b.get(key)]
    differences = "; ".join(f"{key}: {a.get(key)!r} and {b.get(key)!r}" for key in keys)
    name_a, name_b = (f"{run.directory.parent.name}/{run.name}" for run in (run_a, run_b))
    return (
        f"'{row_a.label}' ({name_a}) and '{row_b.label}' ({name_b}) were measured by unlike "
        f"protocols ({differences}): compare them in studies of their own, or evaluate one again by the "
        "protocol of the other"
    )


def notes(rows: Sequence[Row]) -> Iterator[str]:
    """What must be known of rows that were made or measured otherwise than the others."""
    yield from _similarity(rows)
    yield from _commits([run for row in rows for run in row.runs])
    yield from _otherwise(rows, "made with other code than the others", _files)
    yield from _otherwise(rows, "trained on other data than the others", lambda run: run.record.data)
    for row in rows:
        if len({run.record.closure for run in row.runs if run.record.closure}) > 1:
            yield f"{row.label}: not all seeds were made with the same code"
    yield from _seeds([row for row in rows if row.role == "student"])


def _similarity(rows: Sequence[Row]) -> Iterator[str]:
    """Rows that search by unlike similarities may be compared, as published tables do, but not unnoticed: one
    forward per pair of query and scene has another price than one per scene."""
    named: dict[str, list[str]] = defaultdict(list)
    for row in rows:
        if "mAP" in row.runs[0].metrics:
            named[row.runs[0].record.protocol.get("similarity") or "embedding"].append(row.label)
    for kind, labels in named.items():
        if kind != "embedding" and len(named) > 1:
            yield f"{kind} similarity, one forward per pair of query and scene: {'; '.join(labels)}"


def _commits(runs: Sequence[Run]) -> Iterator[str]:
    code = [run.record.code for run in runs]
    commits = sorted({str(record["commit"])[:12] for record in code if record.get("commit")})
    if len(commits) > 1:
        yield f"the runs come from {len(commits)} commits ({', '.join(commits)})"
    if dirty := sum(bool(record.get("dirty")) for record in code):
        yield f"{dirty} of {len(runs)} runs were made with uncommitted changes to the code"


def _files(run: Run) -> Mapping[str, str]:
    """File -> digest of the code that the run was made with, as far as it is recorded."""
    files = run.record.code.get("files")
    return files if isinstance(files, Mapping) else {}


def _otherwise(rows: Sequence[Row], how: str, parts: Callable[[Run], Mapping[str, str]]) -> Iterator[str]:
    """Rows with a part whose digest is not the one that most runs with that part have."""
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for run in (run for row in rows for run in row.runs):
        for part, digest in parts(run).items():
            counts[part][str(digest)] += 1
    usual = {part: count.most_common(1)[0][0] for part, count in counts.items()}
    for row in rows:
        changed = sorted(
            {p for run in row.runs for p, digest in parts(run).items() if str(digest) != usual[p]}
        )
        if changed:
            named = ", ".join(changed[:3]) + f" and {len(changed) - 3} more" * (len(changed) > 3)
            yield f"{row.label}: {how} ({named})"


def _seeds(students: Sequence[Row]) -> Iterator[str]:
    most = max((len(row.runs) for row in students), default=0)
    for row in students:
        if len(row.runs) < most:
            count = f"{len(row.runs)} seed{'s' * (len(row.runs) > 1)}"
            yield f"{row.label}: {count} where others have {most}"
