"""Person crops for training a re-identification network: cut once, varied in every epoch."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from einops import rearrange
from PIL import Image
from torch import Tensor
from tqdm import tqdm

from psearch.files import kept, write_arrays
from psearch.sources import code_digest
from psearch.types import Benchmark, Split


@dataclass(frozen=True, eq=False)
class Crops:
    """Labelled people of a split.

    images: (n, 3, height + 2 * border, width + 2 * border) uint8, where `size` is the (height, width)
    that the box itself covers and `border` the pixels of surroundings kept on every side.
    ids: (n,) int64.
    """

    images: np.ndarray
    ids: np.ndarray
    size: tuple[int, int]
    border: tuple[int, int]


@dataclass(frozen=True, eq=False)
class CropBatch:
    """Crops as a re-identification network sees them. images: (b, 3, h, w) float32, normalised as
    scenes are. ids: (b,) int64."""

    images: Tensor
    ids: Tensor

    def to(self, device: torch.device | str) -> CropBatch:
        """The same batch on another device."""
        return replace(
            self,
            images=self.images.to(device, non_blocking=True),
            ids=self.ids.to(device, non_blocking=True),
        )


def cut(split: Split, *, size: tuple[int, int] = (64, 32), margin: float = 0.125) -> Crops:
    """Cuts every labelled box out of a split, with `margin` of its height and width around it.

    Where that reaches beyond the picture, the picture's edge is repeated. ValueError if no box is labelled.
    """
    height, width = size
    border = round(height * margin), round(width * margin)
    around = border[0] / height, border[1] / width
    shape = height + 2 * border[0], width + 2 * border[1]
    images, ids = [], []
    for index, scene in enumerate(tqdm(split.scenes, "cutting crops", disable=None, leave=False)):
        labelled = (scene.ids >= 0) & ~scene.ignore
        if not labelled.any():
            continue
        picture = split.read(index)
        images += [_cut(picture, box, around, shape) for box in scene.boxes[labelled]]
        ids += scene.ids[labelled].tolist()
    if not images:
        raise ValueError(f"The split '{split.name}' has no labelled box to cut; check its identities.")
    stacked = rearrange(images, "n h w c -> n c h w")
    return Crops(np.ascontiguousarray(stacked), np.array(ids, np.int64), (height, width), border)


def _cut(
    picture: np.ndarray, box: np.ndarray, around: tuple[float, float], shape: tuple[int, int]
) -> np.ndarray:
    height, width = picture.shape[:2]
    extra = np.array([around[1], around[0]]) * (box[2:] - box[:2])
    left, top = np.floor(box[:2] - extra).astype(int)
    right, bottom = np.ceil(box[2:] + extra).astype(int)
    region = picture[max(top, 0) : bottom, max(left, 0) : right]
    beyond = [(max(-top, 0), max(bottom - height, 0)), (max(-left, 0), max(right - width, 0)), (0, 0)]
    window = Image.fromarray(np.pad(region, beyond, mode="edge"))
    x1, y1, x2, y2 = np.concatenate([box[:2] - extra, box[2:] + extra]) - [left, top, left, top]
    size = shape[1], shape[0]
    return np.asarray(window.resize(size, Image.Resampling.BILINEAR, box=(x1, y1, x2, y2)))


def training_crops(
    benchmark: Benchmark,
    *,
    size: tuple[int, int] = (64, 32),
    margin: float = 0.125,
    cache: str | Path | None = None,
) -> Crops:
    """`cut` on a benchmark's training split, kept below the folder `cache` where one is given.

    The cache's name holds the data fingerprint, the parameters and the digest of this code, so that it can
    never be the wrong one.
    """

    def make() -> Crops:
        return cut(benchmark.train, size=size, margin=margin)

    if cache is None:
        return make()
    name = f"crops-{benchmark.train_fingerprint}-{size[0]}x{size[1]}-margin{margin:g}"
    name += f"-{code_digest([__name__], ('psearch.data',))}"
    return kept(Path(cache) / name / "crops.npz", make, write=_save, read=_load)


def _save(file: Path, crops: Crops) -> None:
    arrays = {"images": crops.images, "ids": crops.ids, "size": crops.size, "border": crops.border}
    write_arrays(file, arrays)


def _load(file: Path) -> Crops:
    try:
        with np.load(file, allow_pickle=False) as stored:
            height, width = stored["size"].tolist()
            top, left = stored["border"].tolist()
            return Crops(stored["images"], stored["ids"], (height, width), (top, left))
    except OSError:
        raise
    except Exception as error:  # numpy, zipfile and zlib each raise their own
        raise ValueError(f"damaged ({error})") from error
