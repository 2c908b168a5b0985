"""What is trained, as a recipe makes it: a network and its criterion."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from torch import Tensor, nn

from psearch.data.scenes import anchor_shapes
from psearch.distill.distillation import Distillation
from psearch.engine.options import Loader
from psearch.models.network import Network
from psearch.models.weights import Source, file_of, fit, read
from psearch.runs import checkpoint, foreign
from psearch.types import Benchmark


@dataclass(frozen=True)
class DatasetFacts:
    """What a network and its losses must know of the data: kept in the checkpoint, so that the network can be
    built again without the data.

    identities: labelled training identities. anchor_sizes: input pixels. aspect: typical height over width.
    """

    identities: int
    anchor_sizes: tuple[float, ...]
    aspect: float

    @classmethod
    def of(cls, benchmark: Benchmark, *, anchors: int = 4) -> DatasetFacts:
        """Read off a benchmark's training split; without a box in it there are no anchors."""
        if not any(len(scene.boxes) for scene in benchmark.train.scenes):
            return cls(0, (), 0.0)
        shapes = anchor_shapes(benchmark.train, benchmark.sides, anchors)
        return cls(benchmark.identities, shapes.sizes, shapes.aspect)

    def plain(self) -> dict[str, Any]:
        """As a checkpoint stores it."""
        return asdict(self) | {"anchor_sizes": list(self.anchor_sizes)}


class NetworkTask(nn.Module):
    """batch -> named raw losses; see `psearch.engine.options.Task` for what the trainer asks of it.

    network: what is kept in the end. criterion: its losses and their state. start: a file of weights that the
    whole network starts from: a psearch checkpoint, or a state dict with the network's names. searches: it
    describes people, so that search can be measured.
    """

    network: Network
    criterion: nn.Module
    start: Source = None
    searches: bool = True

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

    def begin(self) -> None:
        """Asked of a task whose training starts, not of one that is restored: take the first weights, of the
        whole network (`start`) or of its backbone. ValueError if they cannot be had or do not fit."""
        path = file_of(self.start)
        if path is None:
            self.network.begin()
            return
        what = f"student.start={path}"
        given = read(path, what)
        known = not given.ours and foreign.is_known(given.tensors)
        tensors = checkpoint.load(path)["network"] if known else given.tensors
        fit(self.network, tensors, what=what, fresh=self.fresh)

    @property
    def fresh(self) -> frozenset[str]:
        """Tensors of the network that a `start` may lack."""
        return frozenset()

    def forward(self, batch: Any) -> dict[str, Tensor]:
        raise TypeError(f"{type(self).__name__} defines no losses")

    def at_epoch(self, epoch: float) -> None:
        """Where the training is, in epochs; nothing to do where weights are constant."""

    def after_step(self) -> None:
        """Memories remember; nothing to do for most criteria."""

    @property
    def taught(self) -> bool:
        """Whether it learns from a teacher, besides the data."""
        return False

    def agreement(self, batch: Any) -> dict[str, Tensor]:
        """Every distillation term on a batch, as raw values; asked only of a task that is `taught`."""
        raise TypeError(f"{type(self).__name__} has no teacher")

    def learn_from(self, distillation: Distillation) -> None:
        """Add what its teachers' terms ask. Raises ValueError if this task cannot be taught."""
        raise ValueError("distill= is for person-search students; choose distill=none for this one")

    def loader(self, benchmark: Benchmark, *, batch_size: int, seed: int, workers: int) -> Loader:
        """Its training batches."""
        raise TypeError(f"{type(self).__name__} brings no training batches")
