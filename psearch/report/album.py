"""Pictures inside the page: small JPEGs as data URIs, each kept once, within a budget of bytes."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
from PIL import Image, ImageDraw
from torch import as_tensor
from torchvision.ops import box_iou

from psearch.report.searches import Box
from psearch.types import Scene

Read = Callable[[int], np.ndarray]
RIGHT, WRONG, MISSED, ASKED = "#1a9e5c", "#d8343c", "#e8a200", "#2b82c9"
CROP_HEIGHT, MARGIN = 104, 0.08


class Album:
    """Cuts pictures on demand and answers with their number, or None once the budget is spent.

    read: scene index -> (h, w, 3) uint8 RGB. budget: bytes of all data URIs together.
    """

    def __init__(self, read: Read, *, budget: int = 3_500_000) -> None:
        self._read = lru_cache(maxsize=16)(read)
        self._left = budget
        self._numbers: dict[object, int | None] = {}
        self.pictures: list[str] = []

    @property
    def full(self) -> bool:
        """Whether a picture had to be left out already."""
        return any(number is None for number in self._numbers.values())

    def crop(self, scene: int, box: Box) -> int | None:
        """A person (xyxy, original pixels) with a little of what is around."""
        return self._keep((scene, box), lambda: _crop(self._picture(scene), box))

    def scene(self, scene: int, frames: Sequence[tuple[Box, str]], *, width: int = 440) -> int | None:
        """A whole scene, at most `width` pixels wide, with (box, colour) frames drawn in."""
        return self._keep((scene, width, *frames), lambda: _framed(self._picture(scene), frames, width))

    def _picture(self, scene: int) -> Image.Image:
        return Image.fromarray(np.ascontiguousarray(self._read(scene)[..., :3], dtype=np.uint8))

    def _keep(self, key: object, draw: Callable[[], Image.Image]) -> int | None:
        if key not in self._numbers:
            uri = _data_uri(draw()) if self._left > 0 else ""
            self._left -= len(uri)
            fits = bool(uri) and self._left >= 0
            self._numbers[key] = len(self.pictures) if fits else None
            self.pictures += [uri] * fits
        return self._numbers[key]


def _crop(picture: Image.Image, box: Box) -> Image.Image:
    x1, y1, x2, y2 = box
    dx, dy = MARGIN * (x2 - x1), MARGIN * (y2 - y1)
    left, top = (
        int(max(0, min(v, size - 1))) for v, size in zip((x1 - dx, y1 - dy), picture.size, strict=True)
    )
    right, bottom = max(left + 1, min(x2 + dx, picture.width)), max(top + 1, min(y2 + dy, picture.height))
    person = picture.crop((left, top, round(right), round(bottom)))
    width = max(16, min(3 * CROP_HEIGHT, round(person.width * CROP_HEIGHT / person.height)))
    return person.resize((width, CROP_HEIGHT), Image.Resampling.BILINEAR)


def _framed(picture: Image.Image, frames: Sequence[tuple[Box, str]], width: int) -> Image.Image:
    scale = min(1.0, width / picture.width)
    small = picture.resize((round(picture.width * scale), max(1, round(picture.height * scale))))
    draw = ImageDraw.Draw(small)
    for box, colour in frames:
        x1, y1, x2, y2 = (scale * value for value in box)
        draw.rectangle((x1, y1, max(x1, x2), max(y1, y2)), outline=colour, width=3)
    return small


def _data_uri(picture: Image.Image) -> str:
    target = io.BytesIO()
    picture.save(target, "JPEG", quality=74, optimize=True)
    return f"data:image/jpeg;base64,{base64.b64encode(target.getvalue()).decode()}"


def read_finds(path: Path, names: Sequence[str], *, score: float) -> list[np.ndarray] | None:
    """Of each named scene the boxes (n, 4), xyxy, original pixels, with at least that score, best first, from
    a detections.npz. None if there is no such file or it is cut off."""
    try:
        with np.load(path, allow_pickle=False) as file:
            images, boxes, scores = file["images"], file["boxes"], file["scores"]
    except (OSError, ValueError, KeyError, EOFError, BadZipFile):
        return None
    order = np.argsort(-scores, kind="stable")
    order = order[scores[order] >= score]
    where, boxes = images[order].astype(str), boxes[order]
    return [boxes[where == name] for name in names]


def judge(found: np.ndarray, scene: Scene) -> list[tuple[Box, str]]:
    """Frames for a picture: found people green, false alarms red, missed people amber.

    A person is found by the best-scored detection with IoU >= 0.5; people to be ignored are neither.
    """
    overlap = box_iou(as_tensor(found).float(), as_tensor(scene.boxes).float()).numpy()
    free = np.ones(len(scene.boxes), bool)
    frames: list[tuple[Box, str]] = []
    for box, row in zip(found, overlap, strict=True):
        matches = np.flatnonzero((row >= 0.5) & free)
        ignored = bool((row[scene.ignore] >= 0.5).any())
        if len(matches):
            match = matches[row[matches].argmax()]
            free[match], ignored = False, bool(scene.ignore[match])
        if not ignored:
            frames.append((_box(box), RIGHT if len(matches) else WRONG))
    missed = scene.boxes[free & ~scene.ignore]
    return [*((_box(box), MISSED) for box in missed), *frames]


def _box(values: np.ndarray) -> Box:
    x1, y1, x2, y2 = (float(value) for value in values)
    return x1, y1, x2, y2
