"""The default test split cannot be solved by cheap tricks on ground-truth boxes."""

from __future__ import annotations

import inspect
from collections.abc import Callable

import numpy as np
import pytest

from psearch.data.synthetic.benchmark import recipe_of, synthetic
from psearch.data.synthetic.cache import annotated, flattened, render_split
from psearch.data.synthetic.staging import draw_queries
from psearch.types import Query, Scene

STRIPES, BINS = 6, 8


@pytest.fixture(scope="module")
def default_test_split() -> tuple[list[Scene], list[np.ndarray], list[Query]]:
    """The default test split alone, drawn in this process, without the cache."""
    wish = {name: p.default for name, p in inspect.signature(synthetic).parameters.items()}
    sizes = {name: (wish[f"{name}_scenes"], wish[f"{name}_identities"]) for name in ("train", "val", "test")}
    recipe = recipe_of(wish["seed"], (wish["height"], wish["width"]), sizes)
    plan = recipe.plans[2]
    drawn = list(render_split(recipe, plan))
    scenes, visible = annotated(plan, recipe, flattened(drawn))
    queries = draw_queries(
        scenes, plan, visible, seed=0, queries=wish["queries"], gallery_size=wish["gallery_size"]
    )
    return scenes, [scene.pixels for scene in drawn], queries


def crop(pixels: np.ndarray, box: np.ndarray) -> np.ndarray:
    x1, y1, x2, y2 = (round(float(side)) for side in box)
    return pixels[y1 : max(y2, y1 + STRIPES), x1 : max(x2, x1 + 1)].astype(np.float64)


def mean_colour(picture: np.ndarray) -> np.ndarray:
    return picture.mean(axis=(0, 1))


def stripes(picture: np.ndarray) -> np.ndarray:
    """Histograms of each channel in six horizontal stripes; square roots, so that distance is Hellinger's."""
    parts = np.array_split(picture, STRIPES)
    histograms = [
        np.histogram(part[..., channel], BINS, (0, 256))[0] / part[..., channel].size
        for part in parts
        for channel in range(3)
    ]
    return np.sqrt(np.concatenate(histograms))


def mean_average_precision(
    split: tuple[list[Scene], list[np.ndarray], list[Query]], describe: Callable[[np.ndarray], np.ndarray]
) -> float:
    """Nearest neighbours among all people in the gallery scenes, at ground-truth boxes."""
    scenes, pixels, queries = split
    described = [
        np.array([describe(crop(picture, box)) for box in scene.boxes])
        for scene, picture in zip(scenes, pixels, strict=True)
    ]
    precisions = []
    for query in queries:
        own = scenes[query.scene].ids.tolist().index(query.identity)
        wanted = described[query.scene][own]
        found = np.concatenate([described[i] for i in query.gallery])
        right = np.concatenate([scenes[i].ids for i in query.gallery]) == query.identity
        right = right[np.argsort(((found - wanted) ** 2).sum(axis=1), kind="stable")]
        ranks = np.flatnonzero(right) + 1
        precisions.append((np.arange(1, len(ranks) + 1) / ranks).mean())
    return float(np.mean(precisions))


def test_the_split_is_as_announced(
    default_test_split: tuple[list[Scene], list[np.ndarray], list[Query]],
) -> None:
    scenes, _, queries = default_test_split
    assert len(scenes) == 250 and len(queries) == 200
    assert all(len(query.gallery) == 100 for query in queries)
    assert 3.5 < np.mean([len(scene.ids) for scene in scenes]) < 4.2
    heights = np.concatenate([scene.boxes[:, 3] - scene.boxes[:, 1] for scene in scenes])
    np.testing.assert_allclose(np.percentile(heights, [5, 50, 95]), [42, 64, 96], rtol=0.08)


@pytest.mark.parametrize("describe, limit", [(mean_colour, 0.05), (stripes, 0.20)])
def test_colour_alone_does_not_find_people(
    default_test_split: tuple[list[Scene], list[np.ndarray], list[Query]],
    describe: Callable[[np.ndarray], np.ndarray],
    limit: float,
) -> None:
    assert mean_average_precision(default_test_split, describe) < limit
