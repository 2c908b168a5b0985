"""A student put together with its teachers; and a rehearsal, before anybody is trained for nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from psearch.build import build
from psearch.distill.distillation import Distillation
from psearch.distill.teacher import IdentityFeatures, Teacher
from psearch.distill.term import Term
from psearch.runs import checkpoint
from psearch.studies.recipe import new_task, recipes, restored_task
from psearch.tasks.task import NetworkTask
from psearch.types import Benchmark


def terms_of(config: Mapping[str, Any]) -> dict[str, Term]:
    """The chosen terms by their names. Raises ValueError for an argument that a term cannot take."""
    terms = {}
    for name, node in config["distill"].items():
        try:
            terms[name] = build(node)
        except ValueError as error:
            raise ValueError(f"distill.{name}: {error}") from error
    return terms


def teach(task: NetworkTask, teachers: Sequence[Teacher], config: Mapping[str, Any]) -> None:
    """Let a student learn from teachers by the terms of its config. Raises ValueError if it cannot."""
    task.learn_from(Distillation(teachers, terms_of(config), student=task.network))


def rehearse(config: Mapping[str, Any], benchmark: Benchmark) -> None:
    """Put a run together with teachers that have learnt nothing yet: ValueError now, and not after their
    training, where student, terms and teachers do not go together."""
    student, _ = new_task(config, benchmark, seed=config["seed"])
    teach(student, [_novice(name, node, benchmark) for name, node in recipes(config).items()], config)


def _novice(name: str, node: Mapping[str, Any], benchmark: Benchmark) -> Teacher:
    """A teacher as its recipe or its checkpoint makes it, which knows every identity by chance only."""
    if path := node.get("checkpoint"):
        task = restored_task(checkpoint.load(path), Path(path))
    else:
        task, _ = new_task(node, benchmark, seed=node["seed"])
    count = benchmark.identities
    embeddings = torch.eye(count, task.network.embedding_size)
    return Teacher(
        task.network,
        name=name,
        fingerprint="",
        provides=task.provides,
        prototypes=task.prototypes,
        identity_features=lambda: IdentityFeatures(
            embeddings, torch.arange(count), benchmark.train_fingerprint, ""
        ),
    )
