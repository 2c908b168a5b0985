"""Picture files: reading them, their sizes without decoding, and resized copies of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import TypeVar

import numpy as np
from PIL import Image
from tqdm import tqdm

from psearch.files import kept, replace_bytes
from psearch.types import Query, Scene, Split

ENDS = {".jpg": b"\xff\xd9", ".jpeg": b"\xff\xd9", ".png": b"IEND"}
"""File endings of pictures, and what the last bytes of such a file hold."""

UNREADABLE = (OSError, SyntaxError, ValueError, Image.DecompressionBombError)
"""What PIL raises for a file that is no picture, or not all of one."""

T = TypeVar("T")
R = TypeVar("R")


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
        except UNREADABLE as error:
            raise ValueError(
                f"The picture {path} cannot be decoded ({error}): restore it from the original data set."
            ) from error


def split(name: str, folder: Path, scenes: Sequence[Scene], queries: Sequence[Query] = ()) -> Split:
    """A `Split` whose scenes are the files of those names in a folder."""
    return Split(name, scenes, PictureFolder(folder, tuple(scene.name for scene in scenes)), queries)


def pictures_in(folder: Path) -> list[str]:
    """Names of the pictures directly in a folder, sorted; ValueError if there is no such folder."""
    if not folder.is_dir():
        raise ValueError(f"There is no folder {folder}: set data.root to the folder that holds it.")
    return sorted(path.name for path in folder.iterdir() if path.name.lower().endswith(tuple(ENDS)))


def picture_sizes(folder: Path, names: Sequence[str]) -> list[tuple[int, int]]:
    """(height, width) of each picture, from its header. ValueError naming those that have none."""
    sizes = in_threads(lambda name: header(folder / name), names, "picture sizes")
    refuse_missing(folder, names, [size is not None for size in sizes])
    return [size for size in sizes if size is not None]


def header(path: Path) -> tuple[int, int] | None:
    """(height, width) of a picture without decoding it; None if the file is missing or no picture."""
    try:
        with Image.open(path) as picture:
            return picture.height, picture.width
    except UNREADABLE:
        return None


def is_complete(path: Path) -> bool:
    """Whether a picture ends as its format does; one that does not is decoded to be sure."""
    try:
        with path.open("rb") as file:
            file.seek(-min(12, path.stat().st_size), 2)
            if ENDS.get(path.suffix.lower(), b"") in file.read():
                return True
        with Image.open(path) as picture:
            picture.load()
        return True
    except UNREADABLE:
        return False


def refuse_missing(folder: Path, names: Sequence[str], present: Sequence[bool]) -> None:
    """ValueError that names the pictures that are not there, the first ten of them."""
    missing = [name for name, there in zip(names, present, strict=True) if not there]
    if missing:
        others = f" and {len(missing) - 10} others" if len(missing) > 10 else ""
        raise ValueError(
            f"The folder {folder} lacks readable pictures {', '.join(missing[:10])}{others}: put them there."
        )


def in_threads(function: Callable[[T], R], items: Sequence[T], what: str) -> list[R]:
    """`function` of each item, in order; file systems answer many questions at once faster."""
    with ThreadPoolExecutor(16) as pool:
        return list(tqdm(pool.map(function, items), what, len(items), disable=None, leave=False))


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
        return kept(file, lambda: _Jpeg.of(make()), write=_Jpeg.write, read=_Jpeg.read).pixels


@dataclass(frozen=True, eq=False)
class _Jpeg:
    """A picture as a file holds it, and as it looks when it is read from there."""

    content: bytes
    pixels: np.ndarray

    @classmethod
    def of(cls, pixels: np.ndarray) -> _Jpeg:
        out = BytesIO()
        Image.fromarray(pixels).save(out, "JPEG", quality=QUALITY, subsampling=0)
        return cls(out.getvalue(), _decoded(out.getvalue()))

    @classmethod
    def read(cls, file: Path) -> _Jpeg:
        content = file.read_bytes()
        return cls(content, _decoded(content))

    @staticmethod
    def write(file: Path, jpeg: _Jpeg) -> None:
        replace_bytes(file, jpeg.content)


def _decoded(content: bytes) -> np.ndarray:
    """ValueError for what does not decode; a changed byte may go unnoticed, the format has no checksum."""
    try:
        with Image.open(BytesIO(content)) as picture:
            return np.asarray(picture)
    except UNREADABLE as error:
        raise ValueError(str(error)) from error
