"""Embeddings of the same people by student and teacher."""

from __future__ import annotations

from dataclasses import dataclass, replace

from torch import Tensor

from psearch.boxes import region_targets
from psearch.distill.teacher import Teacher
from psearch.types import UNLABELLED, Batch, SearchOutput

FG_IOU_THRESH = 0.5
"""IoU with a ground-truth box from which on a described box is that person."""


@dataclass(frozen=True, eq=False)
class MatchedForeground:
    """The described boxes that are people, n rows. student: (n, d) and teacher: (n, d'), unit length, fp32.
    ids: (n,) identity or UNLABELLED."""

    student: Tensor
    teacher: Tensor
    ids: Tensor


def matched_foreground(
    student: SearchOutput, teacher: SearchOutput, batch: Batch, *, labelled: bool = False
) -> MatchedForeground:
    """Embeddings of the boxes that both networks described and that are people; only those with an identity
    if `labelled`. The teacher ran at the student's boxes, so rows belong together."""
    assert student.embeddings is not None and teacher.embeddings is not None
    targets = region_targets(student.boxes, batch, FG_IOU_THRESH)
    rows = targets.person & (targets.ids != UNLABELLED) if labelled else targets.person
    return MatchedForeground(
        student.embeddings[rows].float(), teacher.embeddings[rows].float(), targets.ids[rows]
    )


def embed_foreground(teacher: Teacher, student: SearchOutput, batch: Batch) -> SearchOutput:
    """The teacher's embeddings at those of the student's boxes that are people, and zeros at the others,
    which no term reads: this saves a re-identification network the crops of the background, which are the
    most."""
    person = region_targets(student.boxes, batch, FG_IOU_THRESH).person
    rows = person.split([len(boxes) for boxes in student.boxes])
    people = [boxes[mask] for boxes, mask in zip(student.boxes, rows, strict=True)]
    output = teacher.observe(batch.images, people, frozenset({"embeddings"}))
    assert output.embeddings is not None
    embeddings = output.embeddings.new_zeros(len(person), output.embeddings.shape[1])
    embeddings[person] = output.embeddings
    return replace(output, boxes=student.boxes, embeddings=embeddings)
