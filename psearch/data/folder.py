"""A folder of pictures of anything, without annotations: for pretraining a trunk."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from psearch.data.fingerprints import contents, fingerprint, train_fingerprint
from psearch.data.pictures import ENDS, picture_sizes, split
from psearch.data.scenes import scene
from psearch.data.transforms import pair
from psearch.types import Benchmark, Scene

NO_BOXES = np.zeros((0, 4))


def folder(
    root: str | Path,
    *,
    name: str = "folder",
    sides: Sequence[int] | None = None,
    held_out: float = 0.05,
    cache: str | Path | None = None,
) -> Benchmark:
    """All pictures in a folder and the folders in it, as scenes without boxes; nothing is searched in them.

    sides: (shorter, longer) side to resize pictures to. held_out: share of them that make the test split,
    chosen by their names. cache: folder in which digests of pictures are kept. ValueError for a folder that
    is missing or has fewer than two pictures, for one that is no picture, and for a share outside of 0…1.
    """
    root = Path(root)
    if not 0 < held_out < 1:
        raise ValueError(f"data.held_out={held_out}: a share between 0 and 1")
    if not root.is_dir():
        raise ValueError(f"There is no folder {root}: set data.root to the folder that holds the pictures.")
    names = sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.suffix.lower() in ENDS)
    if len(names) < 2:
        raise ValueError(f"The folder {root} holds {len(names)} pictures ({', '.join(ENDS)}): add some.")
    by_chance = sorted(names, key=lambda each: hashlib.sha256(each.encode()).digest())
    held = set(by_chance[: max(1, round(len(names) * held_out))])
    sizes, pictures = picture_sizes(root, names), contents(root, names, cache)
    scenes = [scene(each, size, NO_BOXES, np.zeros(0)) for each, size in zip(names, sizes, strict=True)]
    train: list[Scene] = [each for each in scenes if each.name not in held]
    test: list[Scene] = [each for each in scenes if each.name in held]
    return Benchmark(
        name=name,
        fingerprint=fingerprint([], pictures, ["folder", held_out]),
        identities=0,
        train=split("train", root, train),
        val=None,
        test=split("test", root, test),
        sides=pair(sides),
        train_fingerprint=train_fingerprint(train, pictures, sides),
    )
