"""Numbers that may change while a training goes on."""

from __future__ import annotations

import math
from collections.abc import Mapping

Scheduled = float | Mapping[str, float]
"""A number, or {start, end, epochs}: linearly from `start` to `end` over the first `epochs` epochs."""


class Linear:
    """epoch (a fraction within an epoch) -> value of a `Scheduled` number.

    name: how errors call it. most: largest value allowed. Raises ValueError for other keys, an `epochs` that
    is not above 0, and values outside 0…most.
    """

    def __init__(self, value: Scheduled, *, name: str, most: float = math.inf) -> None:
        plain = {"start": value, "end": value, "epochs": 1} if isinstance(value, int | float) else dict(value)
        if set(plain) != {"start", "end", "epochs"} or not plain["epochs"] > 0:
            raise ValueError(f"{name}={value}: write a number, or {{start: …, end: …, epochs: above 0}}")
        if not all(0 <= plain[key] <= most for key in ("start", "end")):
            limits = "at least 0" if most == math.inf else f"from 0 to {most:g}"
            raise ValueError(f"{name}={value}: it must be {limits}")
        self.start, self.end, self.epochs = (float(plain[key]) for key in ("start", "end", "epochs"))

    def __call__(self, epoch: float) -> float:
        return self.start + (self.end - self.start) * min(epoch / self.epochs, 1.0)
