"""A small training of the real networks and losses, by several processes of this machine."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torchvision.ops import FrozenBatchNorm2d

from psearch import distributed
from psearch.data.loading import SceneLoader
from psearch.distill.distillation import Distillation
from psearch.distill.embeddings import Embeddings
from psearch.distill.features import Features
from psearch.distill.teacher import Teacher
from psearch.engine.loop import TrainingLoop
from psearch.engine.optimization import one_cycle
from psearch.engine.options import TrainerOptions
from psearch.engine.process_group import join
from psearch.runs.directory import acquire
from psearch.tracking.jsonl import JsonLines
from psearch.tracking.tracker import Silent
from psearch.types import EVERYTHING, Batch, Benchmark
from tests import toys
from tests.engine.attempts import begin, end

Before = Callable[[int], None]


def frozen(network: nn.Module) -> nn.Module:
    """BatchNorm's statistics are those of a rank's own images: without them ranks compute alike."""
    for parent in list(network.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, nn.BatchNorm2d):
                setattr(parent, name, FrozenBatchNorm2d(child.num_features))
    return network


class Small(nn.Module):
    """A student, its criterion, and two terms of a teacher. before: called with the number of each step."""

    def __init__(self, identities: int, before: Before) -> None:
        super().__init__()
        self.network = frozen(toys.network(seed=1))
        self.criterion = toys.criterion(identities)
        teacher = Teacher(
            frozen(toys.network(seed=2)),
            name="toy",
            fingerprint="",
            provides=EVERYTHING,
            identity_features=lambda: None,
        )  # type: ignore[arg-type,return-value]
        terms = {"embeddings": Embeddings(), "features": Features(taps=["c4"])}
        torch.manual_seed(3)
        self.distillation = Distillation([teacher], terms, student=self.network)  # type: ignore[arg-type]
        self.before, self.scenes = before, []

    @property
    def weights(self) -> Mapping[str, float]:
        return self.distillation.weigh(self.criterion.weights)

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        self.before(len(self.scenes))
        self.scenes.append(list(batch.scenes))
        output = self.network(batch.images, self.criterion.pick(batch))
        losses: dict[str, Tensor] = self.criterion(output, batch)
        return losses | self.distillation(output, batch)

    def at_epoch(self, epoch: float) -> None:
        self.distillation.at_epoch(epoch)

    def after_step(self) -> None:
        self.criterion.after_step()


def train(benchmark: Benchmark, before: Before = lambda step: None, **options: Any) -> Small:
    """Three epochs in `run`, as whichever rank this process is; its state is left in `rank<n>.pt`."""
    join(gpu=False, timeout_s=60)
    task = Small(benchmark.identities, before)
    loader = SceneLoader(benchmark.train, batch_size=8, sides=benchmark.sides, seed=5, train=True)
    optimizer = partial(torch.optim.SGD, lr=0.02, momentum=0.9)
    usual = {"epochs": 3, "batch_size": 8, "log_every": 1, "optimizer": optimizer, "schedule": one_cycle}
    make_tracker = JsonLines if distributed.is_first() else Silent
    with acquire("run", {"seed": 5}, wait_s=0) as run, make_tracker(directory=run.directory) as tracker:
        options_ = TrainerOptions(**usual | options)
        TrainingLoop(task, loader, options_, run=run, tracker=tracker, seed=5).train()
    state = {"network": task.network.state_dict(), "criterion": task.criterion.state_dict()}
    torch.save(state | {"scenes": task.scenes}, f"rank{distributed.current_rank().number}.pt")
    return task


def launch(folder: Path, size: int, work: Callable[[], object]) -> list[int]:
    """Start ranks, told who they are as torchrun tells it, and wait for all; answers how each ended."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]

    def enter(number: int) -> None:
        torch.set_num_threads(1)
        names = {"RANK": number, "LOCAL_RANK": number, "WORLD_SIZE": size, "MASTER_PORT": port}
        os.environ.update({name: str(value) for name, value in names.items()}, MASTER_ADDR="127.0.0.1")

    return [end(pid) for pid in [begin(folder, work, partial(enter, number)) for number in range(size)]]


def left_by(folder: Path, size: int) -> list[dict[str, Any]]:
    """The state every rank ended with."""
    return [torch.load(folder / f"rank{number}.pt", weights_only=True) for number in range(size)]
