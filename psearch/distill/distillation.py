"""Named terms and their teachers, beside the student."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor, nn

from psearch.distill.foreground import embed_foreground
from psearch.distill.teacher import NetworkSpec, Teacher
from psearch.distill.term import Term
from psearch.types import Batch, SearchOutput


class Distillation(nn.Module):
    """Runs the chosen terms; a teacher observes a batch only if a term needs it at every step, and computes
    only what its terms need.

    terms: name -> term. Each reads the one teacher that provides what it needs, or the one it names. Raises
    ValueError for something that is no term, where no teacher or more than one provides what a term needs,
    and where two networks do not go together.
    """

    def __init__(
        self, teachers: Sequence[Teacher], terms: Mapping[str, Term], *, student: NetworkSpec
    ) -> None:
        super().__init__()
        self.terms = nn.ModuleDict()
        self._teachers: dict[
            str, Teacher
        ] = {}  # of each term; no modules, so nn.Module does not register them
        for name, term in terms.items():
            if not isinstance(term, Term):
                raise ValueError(f"distill.{name} is no term: {term!r}; choose it first: distill=[…,{name}]")
            teacher = self._teachers[name] = _choose(name, term, teachers)
            try:
                term.attach(student, teacher)
            except ValueError as error:
                raise ValueError(f"distill={name} from teacher={teacher.name}: {error}") from error
            self.terms[name] = term

    def weigh(self, weights: Mapping[str, float]) -> dict[str, float]:
        """The student's own losses with their weights -> all losses with theirs, at this point."""
        weighed = dict(weights)
        for name, term in self._every():
            weighed = term.weigh(name, weighed)
        return weighed

    def at_epoch(self, epoch: float) -> None:
        """Where the training is: schedules follow it."""
        for _, term in self._every():
            term.epoch = epoch

    def prepare(self, memory: nn.Module) -> None:
        """Once, before training: let every term set up what it needs."""
        for name, term in self._every():
            term.prepare(self._teachers[name], memory)

    def forward(self, student: SearchOutput, batch: Batch) -> dict[str, Tensor]:
        """The student's output on a batch -> `distill/<name>` -> raw loss."""
        wanted: dict[Teacher, frozenset[str]] = {}
        for name, term in self._active():
            teacher = self._teachers[name]
            wanted[teacher] = wanted.get(teacher, frozenset()) | term.needs
        outputs = {teacher: _observe(teacher, parts, student, batch) for teacher, parts in wanted.items()}
        return {
            f"distill/{name}": term(student, outputs[self._teachers[name]], batch)
            for name, term in self._active()
        }

    def _every(self) -> list[tuple[str, Term]]:
        return [(name, term) for name, term in self.terms.items() if isinstance(term, Term)]

    def _active(self) -> list[tuple[str, Term]]:
        return [(name, term) for name, term in self._every() if term.needs]


def _observe(teacher: Teacher, parts: frozenset[str], student: SearchOutput, batch: Batch) -> SearchOutput:
    if parts == {"embeddings"}:
        return embed_foreground(teacher, student, batch)
    return teacher.observe(batch.images, student.boxes, parts)


def _choose(name: str, term: Term, teachers: Sequence[Teacher]) -> Teacher:
    """The teacher that a term reads."""
    required = term.needs | term.requires
    known = " and ".join(teacher.name for teacher in teachers)
    named = [teacher for teacher in teachers if term.teacher in (None, teacher.name)]
    if not named:
        raise ValueError(f"distill.{name}.teacher={term.teacher}: this run has the teachers {known}")
    able = [teacher for teacher in named if required <= teacher.provides]
    if not able:
        given = "; ".join(
            f"{teacher.name} gives only {', '.join(sorted(teacher.provides))}" for teacher in named
        )
        raise ValueError(
            f"distill={name} needs {', '.join(sorted(required))} from the teacher, but {given}; "
            f"choose another teacher or leave {name} out"
        )
    if len(able) > 1:
        names = [teacher.name for teacher in able]
        raise ValueError(
            f"distill={name} could read {' or '.join(names)}: choose with +distill.{name}.teacher={names[0]}"
        )
    return able[0]
