"""The paper's second approach: a pre-computed look-up table of the teacher's ID features inside the
student's OIM loss (Munjal, Amin, Galasso, BMVC 2019, abstract; no code or equation is public)."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from psearch.distill.teacher import IdentityFeatures, Teacher
from psearch.distill.term import Scheduled, Term

Aggregate = Callable[[Tensor], Tensor]
"""The features of one identity (n, d), unit rows -> its row of the table (d,)."""


def mean(features: Tensor) -> Tensor:
    """The direction of the mean feature."""
    return normalize(features.mean(dim=0), dim=0)


def first(features: Tensor) -> Tensor:
    """The feature of the first box in the order of the data set."""
    return features[0]


def medoid(features: Tensor) -> Tensor:
    """The feature that is most similar to all others of the identity."""
    return features[(features @ features.T).sum(dim=1).argmax()]


AGGREGATES: dict[str, Aggregate] = {"mean": mean, "first": first, "medoid": medoid}


def identity_table(features: IdentityFeatures, *, identities: int, aggregate: Aggregate) -> Tensor:
    """One row per identity: (identities, d), unit length. Raises ValueError for identities without a box."""
    missing = sorted(set(range(identities)) - set(features.ids.tolist()))
    if missing:
        raise ValueError(
            f"the teacher {features.teacher} has no features for {len(missing)} of {identities} identities "
            f"(first: {missing[0]}): they are of another data set than the student's"
        )
    return torch.stack([aggregate(features.embeddings[features.ids == i]) for i in range(identities)])


def table_of(teacher: Teacher, identities: int, *, aggregate: Aggregate, source: str) -> Tensor:
    """A teacher's look-up table (identities, d), unit rows: made from its features of the training people, or
    ("prototypes") the one its own identity loss ended with. Raises ValueError if it has none."""
    if source == "features":
        return identity_table(teacher.identity_features(), identities=identities, aggregate=aggregate)
    if teacher.prototypes is None:
        raise ValueError(f"teacher={teacher.name} ended with no table of identities; set source=features")
    return normalize(teacher.prototypes, dim=1)


class Identities(Term):
    """Fill the student's identity memory from the teacher before training; nothing is computed at a step, and
    the teacher never runs in the training loop.

    The paper has "a pre-computed look-up table of ID features" and no more; so our reading, each a switch:
    aggregate: `mean` (default), `first` or `medoid` over the ground-truth boxes of an identity.
    update: "frozen" (default: "pre-computed" implies it), "momentum" (initialised, then updated as in OIM) or
    "anchored" (updated, then drawn back towards the teacher's row by `anchor_strength`, 0…1).
    queue: keep OIM's circular queue of unlabelled people (True, as in OIM).
    source: "features" (of the training boxes) or "prototypes" (the table the teacher's own identity
    loss ended with).
    weight: of the identity loss against this table, in place of the student's own weight: a table that does
    not follow the student gives a loss several times larger, which dominates those of detection.
    """

    requires = frozenset({"embeddings"})

    def __init__(
        self,
        *,
        aggregate: str = "mean",
        update: str = "frozen",
        anchor_strength: float = 0.1,
        queue: bool = True,
        source: str = "features",
        weight: Scheduled = 0.1,
        teacher: str | None = None,
    ) -> None:
        super().__init__(weight=weight, teacher=teacher)
        for name, value, known in (
            ("update", update, ("frozen", "momentum", "anchored")),
            ("source", source, ("features", "prototypes")),
            ("aggregate", aggregate, tuple(AGGREGATES)),
        ):
            if value not in known:
                raise ValueError(f"{name}={value}: choose one of {', '.join(known)}")
        self.aggregate, self.queue, self.source = AGGREGATES[aggregate], queue, source
        self.frozen = update == "frozen"
        self.anchor_strength = anchor_strength if update == "anchored" else 0.0

    def weigh(self, name: str, weights: Mapping[str, float]) -> dict[str, float]:
        """The weight is that of the student's own identity loss."""
        return {**weights, "identity": self.weight}

    def prepare(self, teacher: Teacher, memory: nn.Module) -> None:
        table = memory.table
        assert isinstance(table, Tensor)
        rows = table_of(teacher, len(table), aggregate=self.aggregate, source=self.source)
        memory.load_table(
            rows.to(table.device), frozen=self.frozen, anchor_strength=self.anchor_strength, queue=self.queue
        )  # type: ignore[operator]
