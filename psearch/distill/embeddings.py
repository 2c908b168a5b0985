"""The student's embedding of a person drawn to the teacher's (the L_feat of HKD, ACM MM 2023)."""

from __future__ import annotations

from torch import Tensor

from psearch import distributed
from psearch.distill.foreground import matched_foreground
from psearch.distill.teacher import NetworkSpec, Teacher
from psearch.distill.term import Term
from psearch.types import Batch, SearchOutput


def same_length(student: NetworkSpec, teacher: Teacher) -> None:
    """Raises ValueError unless both embed people in as many dimensions."""
    size, teacher_size = student.embedding_size, teacher.spec.embedding_size
    if size != teacher_size:
        raise ValueError(
            f"the student's embedding has {size} numbers, the teacher's {teacher_size}: "
            f"set student.network.embedding={teacher_size}, or {size} for the teacher "
            f"(teacher.{teacher.name}.student.network.embedding={size})"
        )


class Embeddings(Term):
    """1 − cos(f_s, f_t), the mean over the described boxes that are people; 0 where there are none. Raises
    ValueError on `attach` for embeddings of different length."""

    needs = frozenset({"embeddings"})

    def attach(self, student: NetworkSpec, teacher: Teacher) -> None:
        same_length(student, teacher)

    def forward(self, student: SearchOutput, teacher: SearchOutput, batch: Batch) -> Tensor:
        people = matched_foreground(student, teacher, batch)
        distances = 1 - (people.student * people.teacher).sum(dim=1)
        return distances.sum() / max(len(distances), 1) * distributed.mean_weight(len(distances))
