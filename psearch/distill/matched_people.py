"""The same people as student and teacher see them."""

from __future__ import annotations

from dataclasses import dataclass, replace

from torch import Tensor

from psearch.boxes import region_targets
from psearch.distill.teacher import Teacher
from psearch.types import UNLABELLED, Batch, SearchOutput

PERSON = 0.5
"""Overlap with a true box from which on a described box is that person."""


@dataclass(frozen=True, eq=False)
class Persons:
    """The described boxes that are people, n rows. student: (n, d) and teacher: (n, d'), unit length, fp32.
    ids: (n,) identity or UNLABELLED."""

    student: Tensor
    teacher: Tensor
    ids: Tensor


def persons(student: SearchOutput, teacher: SearchOutput, batch: Batch, *, labelled: bool = False) -> Persons:
    """Embeddings of the boxes that both networks described and that are people; only those with an identity
    if `labelled`. The teacher answered at the student's boxes, so rows belong together."""
    assert student.embeddings is not None and teacher.embeddings is not None
    targets = region_targets(student.boxes, batch, PERSON)
    rows = targets.person & (targets.ids != UNLABELLED) if labelled else targets.person
    return Persons(student.embeddings[rows].float(), teacher.embeddings[rows].float(), targets.ids[rows])


def observe_people(teacher: Teacher, student: SearchOutput, batch: Batch) -> SearchOutput:
    """The teacher's embeddings at those of the student's boxes that are people, and zeros at the others,
    where no term looks: a re-identification network is spared the crops of the background, most of all."""
    person = region_targets(student.boxes, batch, PERSON).person
    rows = person.split([len(own) for own in student.boxes])
    boxes = [own[mask] for own, mask in zip(student.boxes, rows, strict=True)]
    seen = teacher.observe(batch.images, boxes, frozenset({"embeddings"}))
    assert seen.embeddings is not None
    embeddings = seen.embeddings.new_zeros(len(person), seen.embeddings.shape[1])
    embeddings[person] = seen.embeddings
    return replace(seen, boxes=student.boxes, embeddings=embeddings)
