"""Runs grouped into variants and compared over seeds; unlike protocols are refused."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from psearch.records import COSTS, RESULTS, ROLES
from psearch.report.gap import Gain, gain
from psearch.report.row import Estimate, Row, estimate
from psearch.report.runs import METRICS, Failure, Run, read_runs
from psearch.report.unlike import check_protocols, notes


@dataclass(frozen=True, eq=False)
class Comparison:
    """Rows of one protocol (students, teachers, two-step systems), and what is to be known about them.

    gains: row -> its difference to its baseline, for distilled students only.
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
    kept, left_out = _newest(runs)
    rows = tuple(sorted(_with_differences([_row(group) for group in _groups(kept)]), key=_order))
    check_protocols(rows)
    gains = {row: gain(row, rows) for row in rows if row.distilled}
    return Comparison(rows, gains, tuple(failures), (*left_out, *notes(rows)))


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
    left_out = []
    for run in sorted(runs, key=lambda run: (_modified(run), str(run.directory))):
        if (older := newest.get((_key(run), run.seed))) is not None:
            left_out.append(
                f"{older.name} is left out: {run.name} has the same settings and seed and is newer"
            )
        newest[_key(run), run.seed] = run
    return sorted(newest.values(), key=lambda run: str(run.directory)), left_out


def _modified(run: Run) -> float:
    path = run.directory / RESULTS
    return path.stat().st_mtime if path.exists() else 0.0


def _row(group: Sequence[Run]) -> Row:
    def over_seeds(parts: Sequence[Mapping[str, Any]], names: Iterable[str]) -> dict[str, Estimate]:
        found = {name: estimate(part.get(name) for part in parts) for name in names}
        return {name: value for name, value in found.items() if value is not None}

    metrics = over_seeds([run.metrics for run in group], METRICS)
    costs = over_seeds([run.record.cost for run in group], COSTS)
    return Row(group[0].role, group[0].axes, tuple(group), metrics, costs)


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
