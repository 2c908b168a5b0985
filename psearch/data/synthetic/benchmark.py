"""`data=synthetic`: the procedural benchmark as a `Benchmark`, drawn once and kept."""

from __future__ import annotations

import hashlib
import inspect
import json
import os
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

import PIL

from psearch.data.synthetic.cache import Recipe, load_split, obtain
from psearch.data.synthetic.staging import Plan, check, draw_queries
from psearch.sources import code_digest
from psearch.types import Benchmark, Split

SMALLEST = 48


def synthetic(
    root: str | Path,
    *,
    seed: int = 0,
    height: int = 128,
    width: int = 192,
    train_scenes: int = 1500,
    val_scenes: int = 150,
    test_scenes: int = 250,
    train_identities: int = 300,
    val_identities: int = 60,
    test_identities: int = 100,
    queries: int = 200,
    gallery_size: int = 100,
    workers: int | None = None,
) -> Benchmark:
    """Street scenes with people whose identity is a combination of what they wear and carry.

    Pictures are a function of the parameters alone, on every machine. Boxes (xyxy, original pixels) are
    the extent of the whole person, hidden parts too, cut to the picture. Train ids are 0..N-1; val and
    test ids follow them, so that no id is in two splits. Labelled people are at least 35% visible; hidden
    passers-by are ignored. Val and test have up to `queries` searches in galleries of `gallery_size`
    scenes, -1 for all others.
    root: folder of the cache `synthetic-<hash>`; queries and galleries are drawn at each load.
    workers: processes that draw; None for one per core.
    Raises `ValueError` for sizes that cannot be had and for a damaged cache.
    """
    recipe = recipe_of(
        seed,
        (height, width),
        {
            "train": (train_scenes, train_identities),
            "val": (val_scenes, val_identities),
            "test": (test_scenes, test_identities),
        },
    )
    folder = Path(root) / f"synthetic-{fingerprint(recipe)}"
    obtain(folder, recipe, workers or os.cpu_count() or 1)
    train, val, test = (
        load(folder, recipe, plan, 0 if plan.name == "train" else queries, gallery_size)
        for plan in recipe.plans
    )
    return Benchmark(
        name="synthetic",
        fingerprint=fingerprint(recipe, {"queries": queries, "gallery_size": gallery_size}),
        identities=train_identities,
        train=train,
        val=val,
        test=test,
        gallery_size=gallery_size,
        train_fingerprint=fingerprint(replace(recipe, plans=recipe.plans[:1])),
    )


def load(folder: Path, recipe: Recipe, plan: Plan, queries: int, gallery_size: int) -> Split:
    """A split that lies in `folder`, with its searches."""
    scenes, visible, pixels = load_split(folder, recipe, plan)
    gallery = partial(draw_queries, scenes, plan, visible, seed=recipe.seed, queries=queries)
    return Split(plan.name, scenes, pixels, gallery(gallery_size), gallery)


def recipe_of(seed: int, size: tuple[int, int], splits: dict[str, tuple[int, int]]) -> Recipe:
    """The checked recipe of splits given as name -> (scenes, identities), in order."""
    if min(size) < SMALLEST:
        raise ValueError(f"height and width must be at least {SMALLEST} pixels, not {size[0]} and {size[1]}.")
    plans, first = [], 0
    for number, (name, (scenes, identities)) in enumerate(splits.items()):
        plans.append(Plan(name, number, scenes, identities, first))
        check(plans[-1])
        first += identities
    return Recipe(seed, *size, tuple(plans))


def fingerprint(recipe: Recipe, searches: dict[str, int] | None = None) -> str:
    """A hash of what is drawn, of the code that draws and of the version of the drawing library, whether it
    is drawn yet or not. searches: what decides queries and galleries."""
    code = code_digest([__name__], (__name__.rpartition(".")[0],))
    text = json.dumps([asdict(recipe), searches, code, PIL.__version__], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def fingerprints(*place: Any, **parameters: Any) -> tuple[str, str]:
    """What `synthetic` draws from the same arguments: fingerprint of all and of the training scenes."""
    asked = inspect.signature(synthetic).bind(*place, **parameters)
    asked.apply_defaults()
    of = asked.arguments
    splits = {name: (of[f"{name}_scenes"], of[f"{name}_identities"]) for name in ("train", "val", "test")}
    recipe = recipe_of(of["seed"], (of["height"], of["width"]), splits)
    searches = {"queries": of["queries"], "gallery_size": of["gallery_size"]}
    return fingerprint(recipe, searches), fingerprint(replace(recipe, plans=recipe.plans[:1]))


vars(synthetic)["fingerprints"] = fingerprints  # see `psearch.data.fingerprints`
