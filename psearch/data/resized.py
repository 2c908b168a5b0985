"""Resized pictures kept on disk, so that later epochs decode small files instead of large ones."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

QUALITY = 95
"""Of the kept JPEGs: a pixel is off by about one grey level, which is why the cache is a choice."""


@dataclass(frozen=True)
class ResizedPictures:
    """A folder of JPEGs, one per picture and size; it must belong to one data fingerprint and split."""

    folder: Path

    def get(self, index: int, size: tuple[int, int], make: Callable[[], np.ndarray]) -> np.ndarray:
        """Picture `index` at `size` (height, width), (h, w, 3) uint8: from the folder, or made and put there.

        What comes back is always the decoded JPEG, so that the first epoch sees what later ones see.
        """
        file = self.folder / f"{size[0]}x{size[1]}" / f"{index}.jpg"
        if not file.exists():
            file.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile(dir=file.parent, suffix=".tmp", delete=False) as handle:
                Image.fromarray(make()).save(handle, "JPEG", quality=QUALITY, subsampling=0)
            os.replace(handle.name, file)
        with Image.open(file) as picture:
            return np.asarray(picture)
