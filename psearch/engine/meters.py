"""The losses of the last few steps, read off the device all at once."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from psearch import distributed


class LossMeter:
    """Collects what the batches since the last row said, without waiting for the device, until `read`.

    weights: as in `Task.weights`; losses of weight 0 are averaged but may be anything. finite_gradients:
    False where a loss scaler deals with infinite gradients.
    """

    def __init__(self, weights: Mapping[str, float], *, finite_gradients: bool) -> None:
        self._must_be_finite = {name for name, weight in weights.items() if weight} | {"total"}
        if finite_gradients:
            self._must_be_finite.add("grad_norm")
        self._clear()

    def add(self, losses: Mapping[str, Tensor], batch: Any) -> None:
        """The losses (scalars; "total" among them) of a batch."""
        self._losses.append({name: loss.detach().float() for name, loss in losses.items()})
        self._scenes.append(list(getattr(batch, "scenes", [])))
        self._images += len(batch.images)

    def add_gradient(self, norm: Tensor) -> None:
        """The gradient's norm at the optimizer step that the last batch completed."""
        self._losses[-1]["grad_norm"] = norm.detach().float()

    def read(self) -> dict[str, float]:
        """The mean of each loss and of `grad_norm`, and `images_per_s`, since the last reading, of all ranks;
        starts anew.

        Raises FloatingPointError at the first batch of which a weighted loss or the gradient is not finite.
        """
        said = torch.stack([value for batch in self._losses for value in batch.values()])
        flat = iter(distributed.all_mean(said).tolist())
        columns: dict[str, list[float]] = {}
        for batch, scenes in zip(self._losses, self._scenes, strict=True):
            values = {name: next(flat) for name in batch}
            self._refuse(values, scenes)
            for name, value in values.items():
                columns.setdefault(name, []).append(value)
        row = {name: sum(column) / len(column) for name, column in columns.items()}
        row["images_per_s"] = sum(distributed.all_gather(self._images)) / (time.perf_counter() - self._since)
        self._clear()
        return row

    def _refuse(self, values: Mapping[str, float], scenes: list[int]) -> None:
        bad = {k: v for k, v in values.items() if k in self._must_be_finite and not math.isfinite(v)}
        if bad:
            scenes = [scene for part in distributed.all_gather(scenes) for scene in part]
            where = f" on the training scenes {scenes}: look at them" if scenes else ""
            raise FloatingPointError(
                f"training broke down, {', '.join(f'{k} is {v}' for k, v in bad.items())}{where}; lower "
                "trainer.optimizer.lr, or set trainer.autocast=null. The last checkpoint is from before"
            )

    def _clear(self) -> None:
        self._losses: list[dict[str, Tensor]] = []
        self._scenes: list[list[int]] = []
        self._images = 0
        self._since = time.perf_counter()
