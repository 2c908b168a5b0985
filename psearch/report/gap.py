"""What distillation brought: the distilled student against its baseline, and against its teacher."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from psearch.report.row import Estimate, Row


@dataclass(frozen=True, eq=False)
class Gain:
    """A distilled student against its baseline, the same student without distillation, in search mAP, paired
    on seeds.

    gain: distilled - baseline. closed: (distilled - baseline) / (teacher - baseline), the gap closed. Either
    is None where it is not defined, and `reason` says why. reference: the row that stands for the teacher.
    """

    baseline: Row | None
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
        kind = "mAP" if self.reference.role == "teacher" else "two-step mAP"
        text = f"{self.reference.label}: {kind} {100 * self.reference.metrics['mAP'].mean:.1f} %"
        on_truth = self.reference.metrics.get("gt_mAP")
        return text + (f", on GT boxes {100 * on_truth.mean:.1f} %" if on_truth else "")


def gain(distilled: Row, rows: Sequence[Row]) -> Gain:
    """The gain and the gap closed of one distilled student among the rows of its comparison."""
    baseline = next((row for row in rows if _is_baseline(row, distilled)), None)
    if baseline is None:
        return Gain(None, (), None, None, None, "no baseline with the same settings")
    mAP, base = distilled.values("mAP"), baseline.values("mAP")
    seeds = tuple(sorted(mAP.keys() & base.keys()))
    if not seeds:
        return Gain(baseline, (), None, None, None, "no seed in common with the baseline")
    difference = Estimate(tuple(mAP[seed] - base[seed] for seed in seeds))
    reference, reason = _reference(distilled, rows)
    if reference is None:
        return Gain(baseline, seeds, difference, None, None, reason)
    level = reference.metrics["mAP"].mean
    if below := [seed for seed in seeds if level <= base[seed]]:
        named = ", ".join(map(str, below))
        reason = f"not defined, the teacher is not above the baseline (seed {named})"
        return Gain(baseline, seeds, difference, reference, None, reason)
    closed = Estimate(tuple((mAP[seed] - base[seed]) / (level - base[seed]) for seed in seeds))
    return Gain(baseline, seeds, difference, reference, closed, "")


def _is_baseline(row: Row, distilled: Row) -> bool:
    """Same student, same size, same budget; only the distillation is missing."""
    same = row.role == "student" and not row.distilled and row.axes[:2] == distilled.axes[:2]
    return same and _without_teacher(row) == _without_teacher(distilled)


def _without_teacher(row: Row) -> dict[str, str]:
    return {k: v for k, v in row.settings.items() if k.split(".")[0] not in ("teacher", "distill")}


def _reference(distilled: Row, rows: Sequence[Row]) -> tuple[Row | None, str]:
    """The teacher's own row if it searches; else the best two-step system built on it."""
    teachers = [row for row in rows if row.role == "teacher" and _teaches(row, distilled)]
    if not teachers:
        places = ", ".join(distilled.runs[0].teacher_directories) or "not recorded"
        return None, f"the teacher's result is missing ({places})"
    if searching := [row for row in teachers if "mAP" in row.metrics]:
        return max(searching, key=lambda row: row.metrics["mAP"].mean), ""
    systems = [
        row for row in rows if row.role == "two_step" and "mAP" in row.metrics and _built_on(row, distilled)
    ]
    if not systems:
        if not any("gt_mAP" in row.metrics for row in teachers):
            return None, "the teacher detects and does not search"
        return None, "the teacher cannot detect, and there is no two-step result to stand for it"
    return max(systems, key=lambda row: row.metrics["mAP"].mean), ""


def _teaches(teacher: Row, distilled: Row) -> bool:
    return any(run.name in _teacher_names(distilled) for run in teacher.runs)


def _built_on(system: Row, distilled: Row) -> bool:
    """On one of its teacher runs where they are recorded, else on the teacher of that name."""
    known, used = _teacher_names(distilled), _teacher_names(system)
    return bool(known & used) if known and used else system.axes[2] in distilled.axes[2].split("+")


def _teacher_names(row: Row) -> set[str]:
    """Names of the directories of the teachers of all its runs."""
    return {Path(place).name for run in row.runs for place in run.teacher_directories}
