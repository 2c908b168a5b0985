"""A training in small, with all that may go astray on resuming: dropout, BatchNorm, a queue with a head."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from psearch.engine.optimization import one_cycle
from psearch.engine.options import TrainerOptions
from psearch.types import Batch


class Network(nn.Sequential):
    def __init__(self) -> None:
        super().__init__(nn.Linear(6, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(0.3), nn.Linear(16, 4))


class Queue(nn.Module):
    """Like OIM's circular queue: the head decides where the next rows go."""

    rows: Tensor
    head: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("rows", torch.zeros(7, 4))
        self.register_buffer("head", torch.zeros((), dtype=torch.long))
        self.pending: list[Tensor] = []

    def forward(self, rows: Tensor) -> Tensor:
        self.pending.append(rows.detach())
        return (rows @ self.rows.T).logsumexp(1).mean()

    def remember(self) -> None:
        for row in torch.cat(self.pending):
            self.rows[self.head] = row
            self.head += 1
            self.head %= len(self.rows)
        self.pending.clear()


class ToyTask(nn.Module):
    """Losses: `fit` and `queue` count, `norm` is only watched."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.network, self.criterion = Network(), Queue()
        self.weights = {"fit": 1.0, "queue": 0.1, "norm": 0.0}

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        rows = self.network(batch.images.mean((2, 3)))
        noise = 0.1 * torch.rand(())  # drawn in the step, as a sampler of proposals does
        return {"fit": (rows - 1).square().mean() + noise * rows.mean(), "queue": self.criterion(rows),
                "norm": rows.norm()}  # fmt: skip

    def at_epoch(self, epoch: float) -> None:
        pass

    def after_step(self) -> None:
        self.criterion.remember()


class ToyLoader:
    """Batches that (epoch, index) decide. `before`: called with (epoch, index) before each batch."""

    def __init__(self, length: int = 6, size: int = 5, before: Any = lambda epoch, index: None) -> None:
        self.length, self.size, self.before = length, size, before
        self.epoch = self.start = 0

    def set_epoch(self, epoch: int, start: int = 0) -> None:
        self.epoch, self.start = epoch, start

    def __len__(self) -> int:
        return self.length

    def __iter__(self) -> Iterator[Batch]:
        for index in range(self.start, self.length):
            self.before(self.epoch, index)
            yield toy_batch(self.epoch, index, self.size)


def toy_batch(epoch: int, index: int, size: int) -> Batch:
    generator = torch.Generator().manual_seed(1000 * epoch + index)
    images = torch.randn(size, 6, 2, 2, generator=generator)
    nothing = [torch.zeros(0)] * size
    scenes = [100 * index + n for n in range(size)]
    return Batch(images, torch.ones(size, 2), torch.ones(size), nothing, nothing, nothing, scenes)


def toy_trainer(**options: Any) -> TrainerOptions:
    optimizer = options.pop("optimizer", partial(torch.optim.AdamW, lr=0.01, fused=True))
    schedule = options.pop("schedule", one_cycle)
    return TrainerOptions(
        **{"epochs": 4, "batch_size": 5, "optimizer": optimizer, "schedule": schedule} | options
    )
