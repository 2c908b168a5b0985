"""Named terms and their teacher, beside the student."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from torch import Tensor, nn

from psearch.distill.teacher import Teacher
from psearch.distill.term import Term
from psearch.types import Batch, SearchOutput


class Distillation(nn.Module):
    """Runs the chosen terms; the teacher observes a batch only if a term needs it at every step.

    terms: name -> a partial that makes the term when called with the student (`student=`) and the teacher
    (`teacher=`). Raises ValueError for something that is no term, and for a teacher that was not trained for
    what a term requires.
    """

    def __init__(
        self, teacher: Teacher, terms: Mapping[str, Callable[..., Term]], *, student: nn.Module
    ) -> None:
        super().__init__()
        self._teacher = (teacher,)  # a tuple keeps nn.Module from looking at it
        self.terms = nn.ModuleDict()
        for name, make in terms.items():
            if not callable(make):
                raise ValueError(
                    f"distill.{name} is no term: {make!r}; choose it first: distill=[…,{name}]"
                )
            term = make(student=student, teacher=teacher)
            missing = sorted((term.needs | term.requires) - teacher.provides)
            if missing:
                raise ValueError(
                    f"distill={name} needs {', '.join(missing)} from the teacher, but {teacher.name} gives "
                    f"only {', '.join(sorted(teacher.provides))}; choose another teacher or leave {name} out"
                )
            self.terms[name] = term
        self.weights: dict[str, float] = {}
        for name, term in self._terms():
            self.weights |= term.weights(name)

    @property
    def teacher(self) -> Teacher:
        return self._teacher[0]

    def _terms(self) -> list[tuple[str, Term]]:
        return [(name, term) for name, term in self.terms.items() if isinstance(term, Term)]

    def prepare(self, memory: nn.Module) -> None:
        """Once, before training: let every term set up what it needs."""
        for _, term in self._terms():
            term.prepare(self.teacher, memory)

    def forward(self, student: SearchOutput, batch: Batch) -> dict[str, Tensor]:
        """The student's output on a batch -> `distill/<name>` -> raw loss."""
        active = [(name, term) for name, term in self._terms() if term.needs]
        if not active:
            return {}
        seen = self.teacher.observe(batch.images, student.boxes)
        return {f"distill/{name}": term(student, seen, batch) for name, term in active}
