"""Distributions over the identity table, drawn to the teacher's."""

from __future__ import annotations

from torch import Tensor, nn

from psearch import distributed
from psearch.distill.distances import similarities, soft_kl
from psearch.distill.foreground import matched_foreground
from psearch.distill.identities import mean, table_of
from psearch.distill.teacher import Teacher
from psearch.distill.term import Scheduled, Term
from psearch.types import Batch, SearchOutput

DIRECTIONS = ("teacher", "student", "both")


class Prototypes(Term):
    """KL between the two networks' distributions over the identity table: p = softmax(z / T), z = scale · f ·
    tableᵀ, each network with its own features and table (the student's is its identity memory as it is at
    that step, the teacher's the mean of its features of each identity). The embeddings may have different
    lengths.

    direction: T² KL(p_t ‖ p_s) ("teacher": the L_logit of HKD, ACM MM 2023), T² KL(p_s ‖ p_t) ("student": the
    L_p of DKD, AAAI 2021), or the sum of "both". Mean over the described boxes that are people.
    """

    needs = frozenset({"embeddings"})
    table: Tensor

    def __init__(
        self,
        *,
        direction: str = "teacher",
        scale: float = 30.0,
        temperature: float = 2.0,
        weight: Scheduled = 1.0,
        teacher: str | None = None,
    ) -> None:
        super().__init__(weight=weight, teacher=teacher)
        if direction not in DIRECTIONS:
            raise ValueError(f"direction={direction}: choose one of {', '.join(DIRECTIONS)}")
        self.direction, self.scale, self.temperature = direction, scale, temperature
        self._memory: tuple[nn.Module, ...] = ()  # a tuple keeps nn.Module from registering it

    def prepare(self, teacher: Teacher, memory: nn.Module) -> None:
        table = memory.table
        assert isinstance(table, Tensor)
        rows = table_of(teacher, len(table), aggregate=mean, source="features")
        self.register_buffer("table", rows.to(table.device), persistent=False)
        self._memory = (memory,)

    def forward(self, student: SearchOutput, teacher: SearchOutput, batch: Batch) -> Tensor:
        people = matched_foreground(student, teacher, batch)
        table = self._memory[0].table
        assert isinstance(table, Tensor)
        logits = self.scale * similarities(people.student, table)
        teacher_logits = self.scale * similarities(people.teacher, self.table)
        to_teacher = soft_kl(logits, teacher_logits, temperature=self.temperature)
        to_student = soft_kl(teacher_logits, logits, temperature=self.temperature)
        both = {"teacher": to_teacher, "student": to_student, "both": to_teacher + to_student}
        return both[self.direction] * distributed.mean_weight(len(people.ids))
