"""BatchNorm when a batch is shared by several ranks."""

from __future__ import annotations

import torch
from torch import nn

from psearch import ranks
from psearch.training.contract import Task

NORMS = ("local", "sync")
"""Each rank normalises its part of the batch by itself, or all parts as one."""


def synchronise(task: Task, device: torch.device) -> None:
    """Make every BatchNorm of a task see the batches of all ranks; its parameters, their names and what it
    computes in evaluation mode stay. Nothing to do for one rank. Raises ValueError on CPUs, where torch
    cannot."""
    if not ranks.several():
        return
    if device.type != "cuda":
        raise ValueError("trainer.norm=sync needs GPUs; on CPUs choose trainer.norm=local")
    for name, child in task.named_children():
        setattr(task, name, nn.SyncBatchNorm.convert_sync_batchnorm(child))
