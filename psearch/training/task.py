"""What is trained, as a recipe makes it: a network and its criterion."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from psearch.distill.distillation import Distillation
from psearch.models.network import Network
from psearch.training.contract import Loader
from psearch.types import Benchmark


class NetworkTask(nn.Module):
    """batch -> named raw losses; see `contract.Task` for what the trainer asks of it.

    network: what is kept in the end. criterion: its losses and their state.
    """

    network: Network
    criterion: nn.Module

    @property
    def weights(self) -> Mapping[str, float]:
        """Loss name -> weight in the sum."""
        raise TypeError(f"{type(self).__name__} weighs no losses")

    @property
    def provides(self) -> frozenset[str]:
        """Fields of `SearchOutput` it is trained to fill, should it become a teacher."""
        return frozenset()

    @property
    def prototypes(self) -> Tensor | None:
        """Its own table of identities (n, d), if it has one."""
        return None

    def forward(self, batch: Any) -> dict[str, Tensor]:
        raise TypeError(f"{type(self).__name__} defines no losses")

    def after_step(self) -> None:
        """Memories remember; nothing to do for most criteria."""

    def learn_from(self, distillation: Distillation) -> None:
        """Add a teacher's terms. Raises ValueError if this task cannot be taught."""
        raise ValueError("distill= is for person-search students; choose distill=none for this one")

    def loader(self, benchmark: Benchmark, *, batch_size: int, seed: int, workers: int) -> Loader:
        """Its training batches."""
        raise TypeError(f"{type(self).__name__} brings no training batches")
