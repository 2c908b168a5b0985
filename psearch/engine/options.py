"""What the training loop is given: its options (the config group `trainer`), a task, and batches."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from psearch import distributed
from psearch.engine.optimization import MakeOptimizer, MakeSchedule
from psearch.engine.process_group import NORMS

AUTOCAST_DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}


class TrainerOptions:
    """The options of a training, the config group `trainer`.

    epochs; batch_size: scenes or crops; accumulate: batches per optimizer step. optimizer: called with
    parameter groups; schedule: with the optimizer and the keywords `epochs`, `steps_per_epoch`. clip: largest
    norm of the gradient, None for no limit. decay_norms: weight decay for normalisation and biases too.
    autocast: None, "bf16" or "fp16". workers: loader processes. threads: of this process's arithmetic, None
    leaves them. log_every: batches between two rows of metrics; log_every_s: seconds between two lines of the
    log. validate_every: epochs, 0 for never; monitor: the metric whose largest value makes `best.pt`.
    With several ranks: batch_size is that of all together; norm: whether BatchNorm looks at each rank's part
    by itself ("local") or at the whole batch ("sync", on GPUs only); rank_timeout_s: how long a rank waits
    for another one before the training fails.
    Raises ValueError for numbers that make no sense, an unknown autocast and an unknown norm.
    """

    def __init__(
        self,
        *,
        epochs: int,
        batch_size: int,
        optimizer: MakeOptimizer,
        schedule: MakeSchedule,
        clip: float | None = 10.0,
        decay_norms: bool = False,
        accumulate: int = 1,
        autocast: str | None = None,
        channels_last: bool = False,
        workers: int = 0,
        threads: int | None = None,
        log_every: int = 20,
        log_every_s: float = 30,
        validate_every: int = 0,
        monitor: str = "mAP",
        norm: str = "local",
        rank_timeout_s: float = distributed.TIMEOUT_S,
    ) -> None:
        if norm not in NORMS:
            raise ValueError(f"trainer.norm={norm}: choose {' or '.join(NORMS)}")
        if autocast is not None and autocast not in AUTOCAST_DTYPES:
            raise ValueError(f"trainer.autocast={autocast}: choose null, {' or '.join(AUTOCAST_DTYPES)}")
        counts = {
            "epochs": epochs,
            "batch_size": batch_size,
            "accumulate": accumulate,
            "log_every": log_every,
        }
        for name, value in counts.items():
            if value < 1:
                raise ValueError(f"trainer.{name}={value}: must be at least 1")
        for name, value in {"workers": workers, "validate_every": validate_every}.items():
            if value < 0:
                raise ValueError(f"trainer.{name}={value}: must be at least 0")
        if threads is not None and not 1 <= threads <= 1024:
            raise ValueError(f"trainer.threads={threads}: null, or from 1 to 1024")
        if clip is not None and not clip > 0:
            raise ValueError(f"trainer.clip={clip}: null for no limit, or above 0")
        self.epochs, self.batch_size, self.accumulate = epochs, batch_size, accumulate
        self.optimizer, self.schedule = optimizer, schedule
        self.clip, self.decay_norms = clip, decay_norms
        self.autocast, self.channels_last = autocast, channels_last
        self.workers, self.threads = workers, threads
        self.log_every, self.log_every_s = log_every, log_every_s
        self.validate_every, self.monitor = validate_every, monitor
        self.norm, self.rank_timeout_s = norm, rank_timeout_s


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
