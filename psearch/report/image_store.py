"""Pictures inside the page: small JPEGs as data URIs, each kept once, within a budget of bytes."""

from __future__ import annotations

import base64
import io
import logging
from collections.abc import Callable, Sequence
from functools import lru_cache

import numpy as np
from PIL import Image, ImageDraw

from psearch.evaluation.boxes import stack
from psearch.evaluation.detection import match, targets
from psearch.report.searches import Box
from psearch.types import Scene

log = logging.getLogger(__name__)

Read = Callable[[int], np.ndarray]
RIGHT, WRONG, MISSED, QUERY = "#1a9e5c", "#d8343c", "#e8a200", "#2b82c9"
CROP_HEIGHT, MARGIN = 104, 0.08


class ImageStore:
    """Cuts pictures on demand and returns their number; None once the budget is spent, and for a scene that
    cannot be read.

    read: scene index -> (h, w, 3) uint8 RGB. budget: bytes of all data URIs together.
    """

    def __init__(self, read: Read, *, budget: int = 3_500_000) -> None:
        self._read = lru_cache(maxsize=16)(read)
        self._left = budget
        self._unreadable: set[int] = set()
        self._numbers: dict[object, int | None] = {}
        self.pictures: list[str] = []

    @property
    def full(self) -> bool:
        """Whether a picture had to be left out already."""
        return self._left <= 0

    def crop(self, scene: int, box: Box) -> int | None:
        """A person (xyxy, original pixels) with a little of what is around."""
        return self._keep(scene, (scene, box), lambda picture: _crop(picture, box))

    def scene(self, scene: int, frames: Sequence[tuple[Box, str]], *, width: int = 440) -> int | None:
        """A whole scene, at most `width` pixels wide, with (box, colour) frames drawn in."""
        return self._keep(scene, (scene, width, *frames), lambda picture: _framed(picture, frames, width))

    def _keep(self, scene: int, key: object, draw: Callable[[Image.Image], Image.Image]) -> int | None:
        if key not in self._numbers:
            picture = self._picture(scene)
            uri = "" if picture is None else _data_uri(draw(picture))
            self._left -= len(uri)
            fits = bool(uri) and self._left >= 0
            self._numbers[key] = len(self.pictures) if fits else None
            self.pictures += [uri] * fits
        return self._numbers[key]

    def _picture(self, scene: int) -> Image.Image | None:
        if self._left <= 0 or scene in self._unreadable:
            return None
        try:
            pixels = self._read(scene)
        except (OSError, ValueError) as error:
            log.warning("a picture is left out: %s", error)
            self._unreadable.add(scene)
            return None
        return Image.fromarray(np.ascontiguousarray(pixels[..., :3], dtype=np.uint8))


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


def frames(scene: Scene, found: np.ndarray) -> list[tuple[Box, str]]:
    """Frames for a picture of a scene in which `found` (n, 4) was detected: missed people amber, right
    detections green, false alarms red. What is right is what the evaluation counts as right; a detection that
    it leaves out of the count has no frame."""
    people, ignored = targets([scene])
    matches = match(people, ignored, stack([found]))
    drawn = zip(found[matches.counted], matches.right[matches.counted], strict=True)
    missed = [(_box(box), MISSED) for box in people.boxes[~matches.found]]
    return [*missed, *((_box(box), RIGHT if right else WRONG) for box, right in drawn)]


def _box(values: np.ndarray) -> Box:
    x1, y1, x2, y2 = (float(value) for value in values)
    return x1, y1, x2, y2
