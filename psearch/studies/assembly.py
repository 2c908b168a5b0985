"""A student put together with its teachers' terms; and a check, before anybody is trained for nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch

from psearch.build import build
from psearch.distill.distillation import Distillation
from psearch.distill.teacher import IdentityFeatures, Teacher
from psearch.distill.term import Term
from psearch.runs import checkpoint
from psearch.runs.config import Node, RunConfig, TeacherConfig
from psearch.studies.recipe import new_task, restored_task
from psearch.tasks.task import NetworkTask
from psearch.types import Benchmark


def make_terms(nodes: Mapping[str, Node]) -> dict[str, Term]:
    """The chosen terms by their names. Raises ValueError for an argument that a term cannot take."""
    terms = {}
    for name, node in nodes.items():
        try:
            terms[name] = build(node)
        except ValueError as error:
            raise ValueError(f"distill.{name}: {error}") from error
    return terms


def attach_distillation(task: NetworkTask, teachers: Sequence[Teacher], terms: Mapping[str, Node]) -> None:
    """Let a student learn from teachers by these terms. Raises ValueError if it cannot."""
    task.learn_from(Distillation(teachers, make_terms(terms), student=task.network))


def check_compatibility(config: RunConfig, benchmark: Benchmark) -> None:
    """Put a run together with untrained teachers: ValueError now, and not after their training, where
    student, terms and teachers do not go together."""
    student, _ = new_task(config, benchmark)
    teachers = [_untrained_teacher(teacher, benchmark) for teacher in config.teachers.values()]
    attach_distillation(student, teachers, config.terms)


def _untrained_teacher(config: TeacherConfig, benchmark: Benchmark) -> Teacher:
    """A teacher as its recipe or its checkpoint makes it, with features that tell every identity apart."""
    if config.checkpoint is not None:
        task = restored_task(checkpoint.load(config.checkpoint), config.checkpoint)
    else:
        assert config.recipe is not None
        task, _ = new_task(config.recipe, benchmark)
    count = benchmark.identities
    embeddings = torch.eye(count, task.network.embedding_size)
    return Teacher(
        task.network,
        name=config.name,
        fingerprint="",
        provides=task.provides,
        prototypes=task.prototypes,
        identity_features=lambda: IdentityFeatures(
            embeddings, torch.arange(count), benchmark.train_fingerprint, ""
        ),
    )
