"""What is trained, as a recipe makes it: a network and its criterion."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from psearch.distill.distillation import Distillation
from psearch.models.network import Network
from psearch.training.contract import Loader
from psearch.types import Benchmark


class NetworkTask(nn.Module):
    """batch -> named raw losses; see `contract.Task` for what the trainer asks of it.

    network: what is kept in the end. criterion: its losses and their state. provides: the parts of its
    output it is trained for, should it become a teacher. prototypes: its own table of identities (n, d) or None.
    """

    network: Network
    criterion: nn.Module
    provides: frozenset[str]
    prototypes: Tensor | None
    weights: Mapping[str, float]

    def forward(self, batch: object) -> dict[str, Tensor]:
        raise TypeError(f"{type(self).__name__} defines no losses")

    def after_step(self) -> None:
        """Memories remember; nothing to do for most criteria."""

    def learn_from(self, distillation: Distillation) -> None:
        """Add a teacher's terms. Raises ValueError if this task cannot be taught."""
        raise ValueError("distill= is for person-search students; choose distill=none for this one")

    def loader(self, benchmark: Benchmark, *, batch_size: int, seed: int, workers: int) -> Loader:
        """Its training batches."""
        raise TypeError(f"{type(self).__name__} brings no training batches")
