"""Teachers are runs: a recipe is trained once, at an address made from what it is, and asked ever after."""

from __future__ import annotations

import ast
import hashlib
import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import torch
import yaml
from torch import nn

from psearch import distributed
from psearch.distill.teacher import People, Teacher
from psearch.identity import config_hash, deciding
from psearch.runs import checkpoint, places
from psearch.runs.config import RunConfig, TeacherConfig
from psearch.runs.directory import claim
from psearch.studies.fit import Workplace, training
from psearch.studies.frozen import frozen_task, keep
from psearch.studies.identity_features import people_of
from psearch.studies.recipe import restored_task
from psearch.tasks.task import NetworkTask
from psearch.types import Benchmark

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class TeacherRun:
    """Where a trained teacher lies. name: its word in `conf/teacher`."""

    name: str
    checkpoint: Path

    @property
    def directory(self) -> Path:
        return self.checkpoint.parent

    def task(self) -> NetworkTask:
        """Its network and criterion as they were at the end of its training."""
        return restored_task(checkpoint.load(self.checkpoint), self.checkpoint)

    def load(self, benchmark: Benchmark, device: torch.device) -> Teacher:
        """The teacher, frozen, ready to be asked about this data."""
        state = checkpoint.load(self.checkpoint)
        task = restored_task(state, self.checkpoint).to(device)
        network, print_ = task.network, weights_print(task.network)

        def people() -> People:
            return distributed.on_first_rank(
                lambda: people_of(network, benchmark, directory=self.directory, teacher=print_, device=device)
            )

        same_people = state["facts"].get("data") == benchmark.train_fingerprint
        return Teacher(
            network,
            name=self.name,
            fingerprint=print_,
            provides=task.provides,
            prototypes=task.prototypes if same_people else None,
            people=people,
        )


def variant_of(name: str, seed: int = 0) -> dict[str, Any]:
    """What a teacher is called by where students are called by the choices made for them."""
    words = {"student": name, "compression": "", "teacher": "none", "distill": "none"}
    return words | {"seed": seed, "overrides": []}


def needed(config: RunConfig) -> tuple[str, ...]:
    """The teachers of a run that must be trained, each by a key that runs wanting the same teacher share."""
    if not config.terms:
        return ()
    recipes = [teacher.recipe for teacher in config.teachers.values() if teacher.recipe is not None]
    return tuple(config_hash(recipe.plain) for recipe in recipes)


def ready(key: str, home: Path) -> bool:
    """Whether a teacher of that key lies there. A wrong yes (other code, other data) costs nothing but the
    place of its training: the first run that wants it finds out and trains it."""
    return any((place / "results.json").exists() for place in teachers_of(key, home))


def teachers_of(key: str, home: Path) -> list[Path]:
    """Directories of teachers of that key, trained or not yet; those with a broken config do not count."""
    found = []
    for path in sorted(home.glob("*/config.yaml")):
        try:
            config = yaml.safe_load(path.read_text())
        except (OSError, yaml.YAMLError):
            continue
        if isinstance(config, dict) and config_hash(config) == key:
            found.append(path.parent)
    return found


def obtain(config: RunConfig, workplace: Workplace) -> list[TeacherRun]:
    """The teachers a run asks for, trained first if nobody did: other runs that want them wait meanwhile.

    Raises ValueError if terms are chosen without a teacher, or a checkpoint cannot be read.
    """
    if not config.teachers:
        raise ValueError(
            f"distill={', '.join(config.terms)} needs a teacher: add teacher=reid (or oim, …), or choose "
            "distill=none"
        )
    home = places.teachers_directory(config.outputs)
    return [_obtain(teacher, workplace, home=home) for teacher in config.teachers.values()]


def _obtain(teacher: TeacherConfig, workplace: Workplace, *, home: Path) -> TeacherRun:
    if teacher.checkpoint is not None:
        checkpoint.load(teacher.checkpoint)
        return TeacherRun(teacher.name, teacher.checkpoint)
    recipe = teacher.recipe
    assert recipe is not None
    frozen = frozen_task(recipe, workplace) if teacher.frozen else None
    address_ = address(deciding(recipe.plain), workplace.benchmark.train_fingerprint)
    directory = home / f"{teacher.name}-{address_}"
    with claim(directory, dict(recipe.plain), wait_s=-1) as run:
        if frozen and not run.finished:
            keep(run, *frozen, workplace)
        elif not run.finished:
            log.info("training the teacher %s in %s", teacher.name, directory)
            variant = variant_of(teacher.name, recipe.seed)
            named: dict[str, Any] = {"study": "teachers", "job_type": "teacher", "variant": variant}
            with training(run, recipe, workplace, **named) as ready_:
                ready_.finish(ready_.loop.train(), {})
    return TeacherRun(teacher.name, directory / checkpoint.LAST)


def weights_print(network: nn.Module) -> str:
    """12 hex digits that stand for a network's weights."""
    digest = hashlib.sha256()
    for key, value in network.state_dict().items():
        digest.update(key.encode() + value.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:12]


DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
PACKAGE = Path(__file__).parents[1]
CODE = ("boxes.py", "distributed.py", "models", "losses", "data", "engine", "tasks")
"""The files whose code decides the weights that a recipe ends with."""


@cache
def code_digest() -> str:
    """Hash of the code that decides weights; comments and docstrings do not count."""
    digest = hashlib.sha256()
    for entry in CODE:
        path = PACKAGE / entry
        for file in sorted(path.rglob("*.py")) if path.is_dir() else [path]:
            digest.update(f"{file.relative_to(PACKAGE)}\n{_meaning(file.read_text())}\n".encode())
    return digest.hexdigest()


def _meaning(source: str) -> str:
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, DOCUMENTED) and ast.get_docstring(node, clean=False) is not None:
            node.body[:1] = []
    return ast.dump(tree)


def address(recipe: Mapping[str, Any], benchmark: str) -> str:
    """12 hex digits that stand for a deciding recipe, the data's fingerprint and the code that matters."""
    text = json.dumps([recipe, benchmark, code_digest()], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:12]
