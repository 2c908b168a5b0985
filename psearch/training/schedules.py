"""Learning-rate schedules, counted in optimizer steps: the rate depends on the step alone, so a resumed run
goes on where it was."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR, LRScheduler, OneCycleLR


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
