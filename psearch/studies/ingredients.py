"""What a run is made from, by content: its data, its teachers, and the code that decides its result."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from psearch.data.fingerprints import Fingerprints, fingerprints
from psearch.identity import address, code_of, stale
from psearch.records import RunRecord
from psearch.runs import places
from psearch.runs.config import Recipe, RunConfig, TeacherConfig

TRAINING = ("psearch.engine.loop", "psearch.tasks.task", "psearch.studies.recipe")
"""Modules that any training goes through, whatever its config names."""

RUN = (*TRAINING, "psearch.studies.assembly", "psearch.studies.measurement")
"""Those of a student's run, which is taught and measured, too."""


def training_code(recipe: Recipe) -> str:
    """Digest of the code that decides the weights a recipe ends with."""
    return code_of(recipe.plain, *TRAINING)


def run_code(config: RunConfig) -> str:
    """Digest of the code that decides a student's result, apart from that of its teachers."""
    return code_of({key: node for key, node in config.plain.items() if key != "teacher"}, *RUN)


def teacher_directory(teacher: TeacherConfig, data: Fingerprints, outputs: Path) -> Path:
    """Where a teacher lies that a recipe makes: at an address made from the recipe, the data it is trained on
    and the code that trains it."""
    assert teacher.recipe is not None
    name = f"{teacher.name}-{address(teacher.recipe.plain, data.train, training_code(teacher.recipe))}"
    return places.teachers_directory(outputs) / name


def teacher_directories(config: RunConfig, data: Fingerprints) -> dict[str, Path]:
    """Name -> directory of each teacher of a run that is made from a recipe."""
    recipes = {name: teacher for name, teacher in config.teachers.items() if teacher.recipe is not None}
    return {name: teacher_directory(teacher, data, config.outputs) for name, teacher in recipes.items()}


def outdated(record: RunRecord, config: RunConfig, data: Fingerprints) -> list[str]:
    """What a finished run was made from otherwise than it would be now: "code", or "teacher reid"."""
    made_from: dict[str, Any] = {"code": record.closure}
    made_from |= {f"teacher {known.name}": Path(known.directory).name for known in record.teachers}
    now: Mapping[str, Any] = {"code": run_code(config)}
    teachers = teacher_directories(config, data)
    now = {**now, **{f"teacher {name}": place.name for name, place in teachers.items()}}
    return stale(made_from, now)


def data_of(config: Recipe) -> Fingerprints:
    """The fingerprints of a recipe's data, without reading or drawing it where that is possible."""
    return fingerprints(config.data)
