"""The result in a few honest sentences."""

from __future__ import annotations

import shlex
from pathlib import Path
from statistics import fmean

from psearch.identity import AXES
from psearch.report.comparison import Comparison
from psearch.report.gap import Gain
from psearch.report.row import Row
from psearch.report.tables import percent


def featured(comparison: Comparison) -> tuple[Row, Gain] | None:
    """The distilled student with the largest gain over its baseline; None if no pair was measured."""
    measured = [(row, gain) for row, gain in comparison.gains.items() if gain.gain is not None]
    return max(measured, key=lambda pair: pair[1].gain.mean if pair[1].gain else 0.0, default=None)


def headline(comparison: Comparison) -> list[str]:
    """What was compared, what came out, over how many seeds, and what it does not show."""
    sentences = _result(comparison)
    if count := len(comparison.failures):
        runs = "run has no result and is" if count == 1 else "runs have no result and are"
        sentences.append(f"{count} {runs} not counted.")
    return sentences


def _result(comparison: Comparison) -> list[str]:
    found = featured(comparison)
    if found:
        return _distilled(*found, candidates=len(comparison.gains))
    measured = [row for row in comparison.rows if "mAP" in row.metrics]
    if not measured:
        return ["No run has a search result yet."]
    best = max(measured, key=lambda row: row.metrics["mAP"].mean)
    seeds = f"{len(best.runs)} seed{'s' * (len(best.runs) > 1)}"
    return [
        f"The best result is {percent(best.metrics['mAP'])} % mAP ({best.label}, {seeds}).",
        "No distilled student stands beside its baseline, so nothing is said about distillation.",
    ]


def _distilled(row: Row, gain: Gain, *, candidates: int) -> list[str]:
    assert gain.baseline is not None and gain.gain is not None
    student, compression, teacher, distill = row.axes
    mAP, base = (fmean(r.values("mAP")[seed] for seed in gain.seeds) for r in (row, gain.baseline))
    mean = gain.gain.mean
    selection = f" (the best of {candidates} distilled variants)" if candidates > 1 else ""
    return [
        f"Distilled from {teacher} ({distill}), the {compression} {student} student reaches "
        f"{100 * mAP:.1f} % mAP; its baseline, with the same settings and "
        f"seed{'s' * (len(gain.seeds) > 1)}, {100 * base:.1f} %: "
        f"{abs(100 * mean):.1f} points {'more' if mean >= 0 else 'less'}{selection}.",
        _certainty(gain),
        _gap(gain),
    ]


def _certainty(gain: Gain) -> str:
    assert gain.gain is not None
    values, interval = gain.gain.values, gain.gain.interval
    if interval is None:
        return f"This is one seed ({gain.seeds[0]}): it may be chance."
    above = sum(value > 0 for value in values)
    count = "every one of" if above == len(values) else f"{above} of"
    verdict = "excludes" if abs(gain.gain.mean) > interval else "includes"
    return (
        f"The distilled student is ahead in {count} {len(values)} seeds; the 95 % interval of the difference "
        f"(± {100 * interval:.1f} points) {verdict} zero."
    )


def _gap(gain: Gain) -> str:
    if gain.closed is None:
        return f"Gap closed: {gain.reason}."
    return f"It closes {percent(gain.closed)} % of the gap to its reference ({gain.reference_text})."


TRAIN = "python -m psearch.train"


def command(row: Row, comparison: Comparison) -> str:
    """One line for the shell; a teacher and a two-step system are made by the command of a student that
    learns from them."""
    if row.role == "student":
        return _train(row)
    student = next((student for student in comparison.students if _learns_from(student, row)), None)
    if student is None:
        return f"{TRAIN} teacher={shlex.quote(row.axes[0 if row.role == 'teacher' else 2])} stage=teacher"
    return _train(student) + " stage=teacher" * (row.role == "teacher")


def _train(row: Row) -> str:
    variant = row.runs[0].variant
    given = {override.lstrip("+~").partition("=")[0] for override in variant.overrides}
    chosen = zip(AXES, variant.axes, strict=True)
    axes = [f"{axis}={_choice(words)}" for axis, words in chosen if axis not in given]
    others = [override for override in variant.overrides if override.partition("=")[0] != "seed"]
    seeds = f"seed={','.join(map(str, row.seeds))}"
    words = ["-m"] * (len(row.seeds) > 1) + [*axes, *others, seeds]
    return " ".join([TRAIN, *map(shlex.quote, words)])


def _choice(words: str) -> str:
    """A group's choice as the command line takes it: several files as a list."""
    return f"[{words.replace('+', ',')}]" if "+" in words else words


def _learns_from(student: Row, row: Row) -> bool:
    if row.role == "teacher":
        names = {Path(place).name for run in student.runs for place in run.teacher_directories}
        return any(run.name in names for run in row.runs)
    return student.distilled and row.axes[2] in student.axes[2].split("+")
