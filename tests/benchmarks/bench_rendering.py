"""How fast scenes are drawn by one process: `pytest tests/benchmarks/bench_rendering.py`."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from typing import Any

from psearch.data.synthetic.scene import render_scene


def test_render_scene(benchmark: Callable[..., Any]) -> None:
    numbers = count()

    def draw() -> None:
        index = next(numbers)
        render_scene(index, [index % 300, 300, 301], seed=0, split=0, height=128, width=192)

    benchmark(draw)
