"""From gradients to new weights: optimizer, schedule, clipping, loss scaling as one thing with one state."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR, LRScheduler, OneCycleLR

from psearch import distributed

MakeOptimizer = Callable[[list[dict[str, Any]]], Optimizer]
MakeSchedule = Callable[..., LRScheduler]


class Optimization:
    """Steps the parameters that require gradients.

    schedule: called as `schedule(optimizer, epochs=, steps_per_epoch=)`, stepped once per optimizer step.
    clip: largest norm of the whole gradient, None for no limit. decay_norms: False spares vectors and scalars
    (normalisation, biases) weight decay. scale: loss scaling, for fp16.
    """

    def __init__(
        self,
        parameters: Iterable[nn.Parameter],
        *,
        optimizer: MakeOptimizer,
        schedule: MakeSchedule,
        epochs: int,
        steps_per_epoch: int,
        clip: float | None,
        decay_norms: bool,
        scale: bool,
        device: torch.device,
    ) -> None:
        self.parameters = [parameter for parameter in parameters if parameter.requires_grad]
        if not self.parameters:
            raise ValueError("nothing to train: no parameter requires a gradient")
        self.clip = clip
        self.optimizer = optimizer(_groups(self.parameters, decay_norms))
        self.schedule = schedule(self.optimizer, epochs=epochs, steps_per_epoch=steps_per_epoch)
        self.scaler = torch.amp.GradScaler(device.type, enabled=scale)

    @property
    def lr(self) -> float:
        """The rate of the step to come, of the first group."""
        return float(self.optimizer.param_groups[0]["lr"])

    def backward(self, loss: Tensor) -> None:
        """Add the loss's gradient to what is there."""
        torch.autograd.backward(self.scaler.scale(loss))

    def step(self) -> Tensor:
        """Apply and forget the gradient, the mean of all ranks'; answers its norm before clipping, still on
        the device."""
        self._average()
        self.scaler.unscale_(self.optimizer)
        norm = nn.utils.clip_grad_norm_(self.parameters, math.inf if self.clip is None else self.clip)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.schedule.step()
        self.optimizer.zero_grad(set_to_none=True)
        return norm

    def _average(self) -> None:
        """A parameter that only other ranks used has a zero gradient here; one that nobody used has none."""
        used = distributed.all_max([parameter.grad is not None for parameter in self.parameters])
        gradients = []
        for parameter in (p for p, somewhere in zip(self.parameters, used, strict=True) if somewhere):
            parameter.grad = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
            gradients.append(parameter.grad)
        distributed.all_reduce_mean(gradients)

    def state_dict(self) -> dict[str, Any]:
        return {name: getattr(self, name).state_dict() for name in ("optimizer", "schedule", "scaler")}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over the entries of `state` that `state_dict` made."""
        for name in ("optimizer", "schedule", "scaler"):
            getattr(self, name).load_state_dict(state[name])


def _groups(parameters: list[nn.Parameter], decay_norms: bool) -> list[dict[str, Any]]:
    if decay_norms:
        return [{"params": parameters}]
    decayed = [p for p in parameters if p.ndim > 1]
    spared = [p for p in parameters if p.ndim <= 1]
    groups: list[dict[str, Any]] = [{"params": decayed}, {"params": spared, "weight_decay": 0.0}]
    return [group for group in groups if group["params"]]


def one_cycle(
    optimizer: Optimizer,
    *,
    epochs: int,
    steps_per_epoch: int,
    warmup: float = 0.15,
    cycle_momentum: bool = True,
) -> LRScheduler:
    """Up to the optimizer's own rate in the fraction `warmup` of all steps, then down to nothing by cosine.

    Source: Smith and Topin 2018, "Super-Convergence", in the two-phase form of `OneCycleLR`.
    """
    peak = [group["lr"] for group in optimizer.param_groups]
    steps = epochs * steps_per_epoch
    return OneCycleLR(optimizer, peak, total_steps=steps, pct_start=warmup, cycle_momentum=cycle_momentum)


def warmup_milestones(
    optimizer: Optimizer,
    *,
    epochs: int,
    steps_per_epoch: int,
    warmup_epochs: float = 1,
    milestones: Sequence[float] = (16,),
    factor: float = 0.1,
) -> LRScheduler:
    """A linear rise over the first epochs, then a fall by `factor` at each milestone (in epochs).

    Source: the published recipe of SeqNet (Li and Miao 2021, default config): one epoch of warm-up, a tenth
    from epoch 16 on. Milestones beyond the last of the `epochs` change nothing.
    """
    rise = max(1, round(warmup_epochs * steps_per_epoch))
    falls = sorted(round(milestone * steps_per_epoch) for milestone in milestones)

    def scale(step: int) -> float:
        return min(1.0, (step + 1) / rise) * factor ** bisect_right(falls, step)

    return LambdaLR(optimizer, scale)
