"""What the trainer asks of the things it trains and trains on."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Protocol

from torch import Tensor, nn

Validate = Callable[[], Mapping[str, float]]
"""Measures the task as it is now; the trainer has put it in evaluation mode."""


class Task(Protocol):
    """What is trained: a module; all its state lies in its named children, which checkpoints are made of."""

    @property
    def weights(self) -> Mapping[str, float]:
        """Weight of each loss in the sum; 0 means watch only (logged, no gradient)."""

    def __call__(self, batch: Any) -> dict[str, Tensor]:
        """The raw, unweighted losses of a batch: scalars by name."""

    def at_epoch(self, epoch: float) -> None:
        """Told before each batch how far the training is, in epochs: `weights` may follow a schedule."""

    def after_step(self) -> None:
        """Called after each optimizer step; the moment at which memories remember."""

    def to(self, *args: Any, **kwargs: Any) -> Any: ...
    def train(self) -> Any: ...
    def eval(self) -> Any: ...
    def parameters(self) -> Iterator[nn.Parameter]: ...
    def buffers(self) -> Iterator[Tensor]: ...
    def named_children(self) -> Iterator[tuple[str, nn.Module]]: ...


class Loader(Protocol):
    """Batches (`images`, perhaps `scenes`, `to(device)`) that (seed, epoch, index) alone decide."""

    def set_epoch(self, epoch: int, start: int = 0) -> None:
        """Iterate over this epoch next, without its first `start` batches."""

    def __len__(self) -> int:
        """Batches of a whole epoch."""

    def __iter__(self) -> Iterator[Any]: ...
