"""Rendered splits on disk: drawn by several processes, written as a whole or not at all."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from filelock import FileLock
from loky import ProcessPoolExecutor
from numpy.lib.format import open_memmap
from tqdm import tqdm

from psearch.data.synthetic.scene import NOBODY, Rendered, render_scene
from psearch.data.synthetic.staging import Plan
from psearch.files import new_folder, replace_json
from psearch.types import UNLABELLED, Scene

log = logging.getLogger(__name__)

SCENES_WORTH_A_PROCESS = 100
"""Fewer are drawn sooner than another process has started."""


@dataclass(frozen=True)
class Recipe:
    """All that decides the pixels and boxes of the benchmark."""

    seed: int
    height: int
    width: int
    plans: tuple[Plan, ...]


class Pixels:
    """Reads scene after scene from one memory-mapped array; opened anew in each process."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.array: np.ndarray | None = None

    def __call__(self, index: int) -> np.ndarray:
        """The picture (h, w, 3) uint8, RGB; a copy."""
        if self.array is None:
            self.array = np.load(self.path, mmap_mode="r")
        return np.array(self.array[index])

    def __getstate__(self) -> dict[str, Any]:
        return {"path": self.path, "array": None}


def render_split(recipe: Recipe, plan: Plan, workers: int = 1) -> Iterator[Rendered]:
    """The scenes of one split, in order; the same whatever the number of processes."""
    draw = partial(
        render_scene, seed=recipe.seed, split=plan.number, height=recipe.height, width=recipe.width
    )
    casts = plan.cast(recipe.seed)
    workers = min(workers, plan.scenes // SCENES_WORTH_A_PROCESS)
    if workers < 2:
        yield from map(draw, range(plan.scenes), casts)
        return
    with ProcessPoolExecutor(workers) as pool:
        yield from pool.map(draw, range(plan.scenes), casts, chunksize=8)


def obtain(folder: Path, recipe: Recipe, workers: int) -> None:
    """Makes sure that `folder` holds the rendered recipe; of two jobs that want it one draws it.

    A damaged one is drawn again; a whole one may be a colleague's, where nothing can be written.
    """
    if folder.exists() and damage(folder, recipe) is None:
        return
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(folder.with_name(f".{folder.name}.lock")):
        if folder.exists():
            reason = damage(folder, recipe)
            if reason is None:
                return
            log.warning("the rendered data in %s are damaged (%s) and drawn again", folder, reason)
            shutil.rmtree(folder)
        with new_folder(folder) as unfinished:
            for plan in recipe.plans:
                write_split(unfinished, recipe, plan, workers)
            sizes = {path.name: path.stat().st_size for path in sorted(unfinished.iterdir())}
            replace_json(unfinished / "contents.json", {"recipe": asdict(recipe), "bytes": sizes})


def damage(folder: Path, recipe: Recipe) -> str | None:
    """What is wrong with rendered data, None if they are whole; of pictures only the number counts."""
    try:
        for plan in recipe.plans:
            load_split(folder, recipe, plan)
    except ValueError as error:
        return str(error)
    return None


def write_split(folder: Path, recipe: Recipe, plan: Plan, workers: int) -> None:
    """Pictures as one array, annotations as another file beside it."""
    shape = (plan.scenes, recipe.height, recipe.width, 3)
    pixels = open_memmap(folder / f"{plan.name}.npy", mode="w+", dtype=np.uint8, shape=shape)
    scenes = []
    progress = tqdm(
        render_split(recipe, plan, workers), f"drawing {plan.name}", plan.scenes, unit="scene", disable=None
    )
    for index, scene in enumerate(progress):
        pixels[index] = scene.pixels
        scenes.append(scene)
    pixels.flush()
    np.savez(folder / f"{plan.name}.npz", allow_pickle=False, **flattened(scenes))


def flattened(scenes: Sequence[Rendered]) -> dict[str, np.ndarray]:
    """The annotations of all scenes as flat arrays."""
    return {
        "counts": np.array([len(scene.ids) for scene in scenes]),
        "cameras": np.array([scene.camera for scene in scenes]),
        "boxes": np.concatenate([scene.boxes for scene in scenes]),
        "ids": np.concatenate([scene.ids for scene in scenes]),
        "ignore": np.concatenate([scene.ignore for scene in scenes]),
        "visible": np.concatenate([scene.visible for scene in scenes]),
    }


def annotated(
    plan: Plan, recipe: Recipe, flat: dict[str, np.ndarray]
) -> tuple[list[Scene], list[np.ndarray]]:
    """The scenes of a split and the visible shares of their people, from flat arrays."""
    ends = np.cumsum(flat["counts"])[:-1]
    boxes, ids, ignore, visible = (np.split(flat[key], ends) for key in ("boxes", "ids", "ignore", "visible"))
    scenes = [
        Scene(
            name=f"{plan.name}_{i:05d}",
            height=recipe.height,
            width=recipe.width,
            boxes=boxes[i],
            ids=np.where(ids[i] == NOBODY, UNLABELLED, ids[i] + plan.first),
            ignore=ignore[i],
            camera=int(flat["cameras"][i]),
        )
        for i in range(plan.scenes)
    ]
    return scenes, visible


def load_split(folder: Path, recipe: Recipe, plan: Plan) -> tuple[list[Scene], list[np.ndarray], Pixels]:
    """Scenes, visible shares and reader of a rendered split.

    Raises `ValueError` where a file is missing, cut short or unreadable.
    """
    try:
        sizes = json.loads((folder / "contents.json").read_text())["bytes"]
        for name in (f"{plan.name}.npy", f"{plan.name}.npz"):
            if (folder / name).stat().st_size != sizes[name]:
                raise ValueError(f"{name} is not {sizes[name]} bytes long")
        with np.load(folder / f"{plan.name}.npz") as file:
            scenes, visible = annotated(plan, recipe, dict(file))
        pixels = Pixels(folder / f"{plan.name}.npy")
        pixels(plan.scenes - 1)
    except PermissionError:
        raise
    except (OSError, ValueError, KeyError, EOFError, BadZipFile) as error:
        raise ValueError(f"{plan.name}: {error}") from error
    return scenes, visible, pixels
