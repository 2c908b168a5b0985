"""Runs grouped into variants and compared over seeds; unlike protocols are refused."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from psearch.report.gap import Gain, gain
from psearch.report.row import Estimate, Row, estimate
from psearch.report.runs import COSTS, METRICS, ROLES, Failure, Run, read_runs


@dataclass(frozen=True, eq=False)
class Comparison:
    """Rows of one protocol (students, teachers, two-step systems), and what is to be known about them.

    gains: row -> its difference to the same student alone, for taught students only.
    """

    rows: tuple[Row, ...]
    gains: Mapping[Row, Gain]
    failures: tuple[Failure, ...]
    notes: tuple[str, ...]

    @property
    def students(self) -> tuple[Row, ...]:
        return tuple(row for row in self.rows if row.role == "student")

    @property
    def runs(self) -> tuple[Run, ...]:
        return tuple(run for row in self.rows for run in row.runs)


def compare(directories: Iterable[Path | str]) -> Comparison:
    """The comparison of all runs in these studies or run directories, their teachers included.

    Raises ValueError if a directory is missing or if two rows were measured by unlike protocols.
    """
    return build_comparison(*read_runs(directories))


def build_comparison(runs: Sequence[Run], failures: Sequence[Failure] = ()) -> Comparison:
    """The comparison as arithmetic on records: no file is touched."""
    kept, notes = _newest(runs)
    rows = tuple(sorted(_with_differences([_row(group) for group in _groups(kept)]), key=_order))
    check_protocols(rows)
    gains = {row: gain(row, rows) for row in rows if row.taught}
    return Comparison(rows, gains, tuple(failures), (*notes, *similarity_notes(rows), *_code_notes(kept)))


def _key(run: Run) -> tuple[object, ...]:
    ignored = {"teacher", "distill"} if run.role == "student" and run.axes[3] == "none" else set()
    settings = ((k, v) for k, v in sorted(run.settings.items()) if k.split(".")[0] not in ignored)
    return run.role, run.axes, tuple(settings)


def _groups(runs: Iterable[Run]) -> list[list[Run]]:
    groups: dict[tuple[object, ...], list[Run]] = defaultdict(list)
    for run in runs:
        groups[_key(run)].append(run)
    return [sorted(group, key=lambda run: run.seed) for group in groups.values()]


def _newest(runs: Sequence[Run]) -> tuple[list[Run], list[str]]:
    """One run per variant and seed: twice the same seed is not two measurements."""
    newest: dict[tuple[object, ...], Run] = {}
    notes = []
    for run in sorted(runs, key=lambda run: (_modified(run), str(run.directory))):
        if (older := newest.get((_key(run), run.seed))) is not None:
            notes.append(f"{older.name} is left out: {run.name} has the same settings and seed and is newer")
        newest[_key(run), run.seed] = run
    return sorted(newest.values(), key=lambda run: str(run.directory)), notes


def _modified(run: Run) -> float:
    path = run.directory / "results.json"
    return path.stat().st_mtime if path.exists() else 0.0


def _row(group: Sequence[Run]) -> Row:
    def over_seeds(part: str, names: Iterable[str]) -> dict[str, Estimate]:
        found = {name: estimate((run.results.get(part) or {}).get(name) for run in group) for name in names}
        return {name: value for name, value in found.items() if value is not None}

    return Row(
        group[0].role, group[0].axes, tuple(group), over_seeds("metrics", METRICS), over_seeds("cost", COSTS)
    )


def _with_differences(rows: Sequence[Row]) -> list[Row]:
    """Rows of the same four axes get the settings that tell them apart."""
    named = []
    for row in rows:
        twins = [other for other in rows if (other.role, other.axes) == (row.role, row.axes)]
        keys = sorted({key for twin in twins for key in twin.settings})
        differing = [key for key in keys if len({twin.settings.get(key) for twin in twins}) > 1]
        texts = tuple(f"{key}={row.settings.get(key, '(not set)')}" for key in differing)
        named.append(replace(row, differing=texts))
    return named


def _order(row: Row) -> tuple[object, ...]:
    size = row.costs["parameters"].mean if "parameters" in row.costs else 0.0
    student, compression, teacher, distill = row.axes
    return (
        ROLES.index(row.role),
        student,
        size,
        compression,
        distill != "none",
        distill,
        teacher,
        row.differing,
    )


def _code_notes(runs: Sequence[Run]) -> list[str]:
    code = [run.results.get("code") or {} for run in runs]
    commits = sorted({str(record["commit"])[:12] for record in code if record.get("commit")})
    notes = []
    if len(commits) > 1:
        notes.append(f"the runs come from {len(commits)} commits ({', '.join(commits)})")
    if dirty := sum(bool(record.get("dirty")) for record in code):
        notes.append(f"{dirty} of {len(runs)} runs were made with uncommitted changes to the code")
    return notes


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
