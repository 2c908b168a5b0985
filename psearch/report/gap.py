"""What distillation brought: the taught student against the same student alone, and against its teacher."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from psearch.report.row import Estimate, Row


@dataclass(frozen=True, eq=False)
class Gain:
    """A taught student against the same student alone, in search mAP, paired on seeds.

    gain: taught - alone. closed: (taught - alone) / (teacher - alone), the gap closed. Either is None
    where it is not defined, and `reason` says why. reference: the row that stands for the teacher.
    """

    alone: Row | None
    seeds: tuple[int, ...]
    gain: Estimate | None
    reference: Row | None
    closed: Estimate | None
    reason: str

    @property
    def reference_text(self) -> str:
        """Which number the gap is measured against."""
        if self.reference is None:
            return ""
        own = "mAP" if self.reference.role == "teacher" else "two-step mAP"
        text = f"{self.reference.label}: {own} {100 * self.reference.metrics['mAP'].mean:.1f} %"
        true_boxes = self.reference.metrics.get("gt_mAP")
        return text + (f", on true boxes {100 * true_boxes.mean:.1f} %" if true_boxes else "")


def gain(taught: Row, rows: Sequence[Row]) -> Gain:
    """The gain and the gap closed of one taught student among the rows of its comparison."""
    alone = next((row for row in rows if _is_alone(row, taught)), None)
    if alone is None:
        return Gain(None, (), None, None, None, "no student alone with the same settings")
    ours, theirs = taught.values("mAP"), alone.values("mAP")
    seeds = tuple(sorted(ours.keys() & theirs.keys()))
    if not seeds:
        return Gain(alone, (), None, None, None, "no seed in common with the student alone")
    difference = Estimate(tuple(ours[seed] - theirs[seed] for seed in seeds))
    reference, reason = _reference(taught, rows)
    if reference is None:
        return Gain(alone, seeds, difference, None, None, reason)
    level = reference.metrics["mAP"].mean
    if below := [seed for seed in seeds if level <= theirs[seed]]:
        named = ", ".join(map(str, below))
        reason = f"not defined, the teacher is not above the student alone (seed {named})"
        return Gain(alone, seeds, difference, reference, None, reason)
    closed = Estimate(tuple((ours[seed] - theirs[seed]) / (level - theirs[seed]) for seed in seeds))
    return Gain(alone, seeds, difference, reference, closed, "")


def _is_alone(row: Row, taught: Row) -> bool:
    """Same student, same size, same budget; only the teaching is missing."""
    same = row.role == "student" and not row.taught and row.axes[:2] == taught.axes[:2]
    return same and _untaught(row) == _untaught(taught)


def _untaught(row: Row) -> dict[str, str]:
    return {k: v for k, v in row.settings.items() if k.split(".")[0] not in ("teacher", "distill")}


def _reference(taught: Row, rows: Sequence[Row]) -> tuple[Row | None, str]:
    """The teacher's own row if it searches; else the best two-step system built on it."""
    teachers = [row for row in rows if row.role == "teacher" and _taught_by(taught, row)]
    if not teachers:
        places = ", ".join(taught.runs[0].teacher_directories) or "not recorded"
        return None, f"the teacher's result is missing ({places})"
    if searching := [row for row in teachers if "mAP" in row.metrics]:
        return max(searching, key=lambda row: row.metrics["mAP"].mean), ""
    systems = [
        row for row in rows if row.role == "two_step" and "mAP" in row.metrics and _built_on(row, taught)
    ]
    if not systems:
        if not any("gt_mAP" in row.metrics for row in teachers):
            return None, "the teacher detects and does not search"
        return None, "the teacher cannot detect, and there is no two-step result to stand for it"
    return max(systems, key=lambda row: row.metrics["mAP"].mean), ""


def _taught_by(taught: Row, teacher: Row) -> bool:
    return any(run.name in _places(taught) for run in teacher.runs)


def _built_on(system: Row, taught: Row) -> bool:
    """On one of its teacher runs where they are recorded, else on the teacher of that name."""
    ours, theirs = _places(taught), _places(system)
    return bool(ours & theirs) if ours and theirs else system.axes[2] in taught.axes[2].split("+")


def _places(row: Row) -> set[str]:
    """Names of the directories of the teachers of all its runs."""
    return {Path(place).name for run in row.runs for place in run.teacher_directories}
