"""The command that makes a row again."""

from __future__ import annotations

import shlex
from pathlib import Path

from psearch.report.comparison import Comparison
from psearch.report.config import AXES
from psearch.report.row import Row

TRAIN = "python -m psearch.train"


def command(row: Row, comparison: Comparison) -> str:
    """One line for the shell; a teacher and a two-step system are made by the command of a student that
    learns from them."""
    if row.role == "student":
        return _train(row)
    pupil = next((student for student in comparison.students if _learns_from(student, row)), None)
    if pupil is None:
        return f"{TRAIN} teacher={shlex.quote(row.axes[0 if row.role == 'teacher' else 2])} stage=teacher"
    return _train(pupil) + " stage=teacher" * (row.role == "teacher")


def _train(row: Row) -> str:
    variant = row.runs[0].results["variant"]
    overrides = [str(override) for override in variant.get("overrides", ())]
    given = {override.lstrip("+~").partition("=")[0] for override in overrides}
    axes = [f"{axis}={_choice(str(variant[axis]))}" for axis in AXES if axis not in given]
    others = [override for override in overrides if override.partition("=")[0] != "seed"]
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
    return student.taught and row.axes[2] in student.axes[2].split("+")
