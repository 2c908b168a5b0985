"""Whether loading keeps a GPU fed: `pytest tests/benchmarks/bench_loading.py`, pictures of PRW's size.

An epoch of 32 JPEGs of 1920x1080 at 900x1500, mirrored, in batches of 4; `--benchmark-only` prints its time.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from psearch.data.loading import SceneLoader
from psearch.data.pictures import split
from psearch.types import Scene, Split

PICTURES, HEIGHT, WIDTH = 32, 1080, 1920


@pytest.fixture(scope="module")
def street(tmp_path_factory: pytest.TempPathFactory) -> Split:
    """Smooth noise with grain, which makes JPEGs of about the size that photographs have."""
    folder, random = tmp_path_factory.mktemp("pictures"), np.random.default_rng(0)
    scenes = []
    for number in range(PICTURES):
        smooth = Image.fromarray(random.integers(0, 255, (30, 54, 3), dtype=np.uint8)).resize((WIDTH, HEIGHT))
        grain = random.normal(0, 6, (HEIGHT, WIDTH, 1))
        pixels = (np.asarray(smooth) + grain).clip(0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.jpg", quality=90)
        boxes = np.array([[100, 100, 200, 400]] * 6, np.float32)
        scenes.append(Scene(f"{number}.jpg", HEIGHT, WIDTH, boxes, np.arange(6), np.zeros(6, bool)))
    return split("train", folder, scenes)


def epoch(loader: SceneLoader) -> int:
    return sum(len(batch.images) for batch in loader)


@pytest.mark.parametrize("cached", [False, True], ids=["original", "cached"])
@pytest.mark.parametrize("workers", [0, 1, 2])
def test_an_epoch(benchmark: Any, street: Split, tmp_path: Path, workers: int, cached: bool) -> None:
    loader = SceneLoader(
        street,
        batch_size=4,
        sides=(900, 1500),
        train=True,
        workers=workers,
        cache=tmp_path if cached else None,
    )
    assert benchmark.pedantic(epoch, args=(loader,), rounds=2, warmup_rounds=int(cached)) == PICTURES
