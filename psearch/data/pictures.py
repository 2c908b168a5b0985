"""Pictures on disk: how they are read, and the fingerprint of a data set."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image


@dataclass(frozen=True)
class PictureFolder:
    """`Split.read` for files in a folder: index -> (h, w, 3) uint8 RGB, as stored (EXIF is not obeyed,
    because annotations count stored pixels). ValueError if a file does not decode.
    """

    folder: Path
    names: tuple[str, ...]

    def __call__(self, index: int) -> np.ndarray:
        path = self.folder / self.names[index]
        try:
            with Image.open(path) as picture:
                return np.asarray(picture.convert("RGB"))
        except (OSError, SyntaxError) as error:
            raise ValueError(
                f"The picture {path} cannot be decoded ({error}): restore it from the original data set."
            ) from error


def fingerprint(annotations: Sequence[Path], folder: Path, names: Iterable[str], settings: object) -> str:
    """Hex digest of annotation files, names and sizes of pictures, and reader settings.

    Pictures are not read: a changed picture of the same size in bytes goes unnoticed.
    ValueError that names the first missing picture and counts the others.
    """
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode())
    for path in annotations:
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    missing = []
    for name in sorted(set(names)):
        try:
            digest.update(f"{name}\0{(folder / name).stat().st_size}\0".encode())
        except OSError:
            missing.append(name)
    if missing:
        others = f" and {len(missing) - 1} other pictures" if len(missing) > 1 else ""
        raise ValueError(f"The folder {folder} lacks '{missing[0]}'{others}: put them there.")
    return digest.hexdigest()[:16]


def clipped(boxes: np.ndarray, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Boxes (n, 4), xyxy, original pixels, cut to the picture as float32, and which have an area left."""
    boxes = np.asarray(boxes, np.float32).reshape(-1, 4)
    boxes = np.stack(
        [boxes[:, side].clip(0, limit) for side, limit in enumerate((width, height, width, height))], axis=1
    )
    return boxes, (boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1])
