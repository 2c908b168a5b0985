"""The student's embedding of a person drawn to the teacher's (the L_feat of HKD, ACM MM 2023)."""

from __future__ import annotations

from torch import Tensor

from psearch import distributed
from psearch.distill.matched_people import persons
from psearch.distill.teacher import Published, Teacher
from psearch.distill.term import Term
from psearch.types import Batch, SearchOutput


def same_length(student: Published, teacher: Teacher) -> None:
    """Raises ValueError unless both embed people in as many dimensions."""
    ours, theirs = student.embedding_size, teacher.published.embedding_size
    if ours != theirs:
        raise ValueError(
            f"the student's embedding has {ours} numbers, the teacher's {theirs}: "
            f"set student.network.embedding={theirs}, or {ours} for the teacher "
            f"(teacher.{teacher.name}.student.network.embedding={ours})"
        )


class Embeddings(Term):
    """1 − cos(f_s, f_t), the mean over the described boxes that are people; 0 where there are none. Raises
    ValueError on `attach` for embeddings of different length."""

    needs = frozenset({"embeddings"})

    def attach(self, student: Published, teacher: Teacher) -> None:
        same_length(student, teacher)

    def forward(self, student: SearchOutput, teacher: SearchOutput, batch: Batch) -> Tensor:
        people = persons(student, teacher, batch)
        distances = 1 - (people.student * people.teacher).sum(dim=1)
        return distances.sum() / max(len(distances), 1) * distributed.mean_weight(len(distances))
