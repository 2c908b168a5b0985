"""How a training goes: the options of a recipe, and the one `fit` that students and teachers go through."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from psearch import ranks
from psearch.tracking.tracker import Tracker
from psearch.training.contract import Loader, Task, Validate
from psearch.training.descent import MakeOptimizer, MakeSchedule
from psearch.training.fitting import HALVES, Fitting
from psearch.training.run import Run
from psearch.training.synchronised import NORMS


class Trainer:
    """The options of a training; on what and on which data is said to `fit`.

    epochs; batch_size: scenes or crops; accumulate: batches per optimizer step. optimizer: called with
    parameter groups; schedule: with the optimizer and the keywords `epochs`, `steps_per_epoch`. clip: largest
    norm of the gradient, None for no limit. decay_norms: weight decay for normalisation and biases too.
    autocast: None, "bf16" or "fp16". workers: loader processes. threads: of this process's arithmetic, None
    leaves them. log_every: batches between two rows of metrics; log_every_s: seconds between two lines of the
    log. validate_every: epochs, 0 for never; monitor: the metric whose largest value makes `best.pt`.
    With several ranks: batch_size is that of all together; norm: whether BatchNorm looks at each rank's part
    by itself ("local") or at the whole batch ("sync", on GPUs only); rank_timeout_s: how long a rank waits
    for another one before the training fails.
    Raises ValueError for numbers below 1, an unknown autocast and an unknown norm.
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
        rank_timeout_s: float = ranks.TIMEOUT_S,
    ) -> None:
        if norm not in NORMS:
            raise ValueError(f"trainer.norm={norm}: choose {' or '.join(NORMS)}")
        if autocast is not None and autocast not in HALVES:
            raise ValueError(f"trainer.autocast={autocast}: choose null, {' or '.join(HALVES)}")
        counts = {
            "epochs": epochs,
            "batch_size": batch_size,
            "accumulate": accumulate,
            "log_every": log_every,
        }
        for name, value in counts.items():
            if value < 1:
                raise ValueError(f"trainer.{name}={value}: must be at least 1")
        self.epochs, self.batch_size, self.accumulate = epochs, batch_size, accumulate
        self.optimizer, self.schedule = optimizer, schedule
        self.clip, self.decay_norms = clip, decay_norms
        self.autocast, self.channels_last = autocast, channels_last
        self.workers, self.threads = workers, threads
        self.log_every, self.log_every_s = log_every, log_every_s
        self.validate_every, self.monitor = validate_every, monitor
        self.norm, self.rank_timeout_s = norm, rank_timeout_s

    def fit(
        self,
        task: Task,
        loader: Loader,
        *,
        run: Run,
        tracker: Tracker,
        seed: int,
        device: torch.device | str = "cpu",
        validate: Validate | None = None,
        facts: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        """Train `task` in place, from the run's last checkpoint if there is one.

        facts: what decides the result beside the config, as plain values; kept in the checkpoint, and one
        made under other facts is refused (ValueError). Answers {"epochs", "steps" (batches), "seconds" (over
        all attempts), "peak_memory_mb"}. Raises FloatingPointError when a loss or gradient is not finite,
        OSError when a checkpoint cannot be written, `Interrupted` when a signal stopped it, saved.
        """
        size = ranks.me().size
        if self.batch_size % size:
            raise ValueError(
                f"trainer.batch_size={self.batch_size} is the batch of all {size} ranks together and cannot "
                f"be shared evenly: choose a multiple of {size}"
            )
        if self.threads:
            torch.set_num_threads(self.threads)
        fitting = Fitting(
            self, task, loader, run, tracker, seed, torch.device(device), validate, dict(facts or {})
        )
        return fitting.finish()
