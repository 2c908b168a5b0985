"""One picture: a street, things and people set into it from back to front, and who can be seen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from psearch.data.synthetic.appearance import Identity, draw_stranger, numbered_identity
from psearch.data.synthetic.draws import SCENE, Draws
from psearch.data.synthetic.figure import around
from psearch.data.synthetic.lens import CAMERAS, View, camera_sensor, draw_view, photograph
from psearch.data.synthetic.staging import Sprite, place_people, place_things
from psearch.data.synthetic.street import Street

SUPERSAMPLING = 2
NOBODY = -1
"""The id of a person without a name; `psearch.types` stays out of the drawing processes: it loads torch."""
UNSEEN, HIDDEN = 0.04, 0.35
"""A person of whom at most the first share can be seen is left out, less than the second ignored."""
ATTEMPTS = 8


@dataclass(frozen=True, eq=False)
class Rendered:
    """A picture (h, w, 3) uint8 with its people: boxes (n, 4) float32 xyxy, ids, ignore, visible share."""

    pixels: np.ndarray
    boxes: np.ndarray
    ids: np.ndarray
    ignore: np.ndarray
    visible: np.ndarray
    camera: int


@dataclass(frozen=True, eq=False)
class Composition:
    """A scene before a camera sees it: its canvas, and boxes, ids and visible shares of its people."""

    canvas: Image.Image
    boxes: np.ndarray
    ids: np.ndarray
    visible: np.ndarray


def render_scene(
    index: int, identities: Sequence[int], *, seed: int, split: int, height: int, width: int
) -> Rendered:
    """Scene `index` of a split, with these labelled people and up to two others.

    Composed again, with other places and poses, while a labelled person is hidden; one who stays hidden
    after the last attempt is NOBODY and ignored.
    """
    for attempt in range(ATTEMPTS):
        draws = Draws(seed, SCENE, split, index, attempt)
        view = draw_view(draws, SUPERSAMPLING * height, SUPERSAMPLING * width)
        scene = compose(draws, view, people_of(draws, seed, split, identities))
        if (scene.visible[scene.ids != NOBODY] >= HIDDEN).all():
            break
    camera = draws.below(CAMERAS)
    pixels = np.asarray(scene.canvas.reduce(SUPERSAMPLING))
    return annotated(scene, photograph(draws, pixels, camera_sensor(seed, camera)), camera)


def annotated(scene: Composition, pixels: np.ndarray, camera: int) -> Rendered:
    """The picture with its people: hidden ones ignored, those nobody sees left out."""
    seen = scene.visible > UNSEEN
    visible = scene.visible[seen]
    ids = np.where(visible < HIDDEN, NOBODY, scene.ids[seen])
    return Rendered(pixels, scene.boxes[seen], ids, visible < HIDDEN, visible, camera)


def people_of(draws: Draws, seed: int, split: int, identities: Sequence[int]) -> list[tuple[int, Identity]]:
    """The labelled people, then up to two passers-by whom nobody has named."""
    known = [(number, numbered_identity(seed, split, number)) for number in identities]
    strangers = [(NOBODY, draw_stranger(draws)) for _ in range(draws.below(3))]
    return known + strangers


def compose(draws: Draws, view: View, people: list[tuple[int, Identity]]) -> Composition:
    """Street, shadows, then things and people, the nearest last."""
    street = Street(draws, view)
    sprites = place_things(draws, view, street.light) + place_people(draws, view, street.light, people)
    sprites.sort(key=lambda sprite: sprite.foot[1])
    cast_shadows(street, sprites)
    owner = Image.new("L", street.canvas.size)
    for number, sprite in enumerate(sprites, start=1):
        street.canvas.paste(sprite.image, sprite.corner, sprite.image)
        owner.paste(number, sprite.corner, sprite.image)
    seen = owner.histogram()
    persons = [(n, s) for n, s in enumerate(sprites, start=1) if s.identity is not None]
    return Composition(
        canvas=street.canvas,
        boxes=np.array([box_of(s, view) for _, s in persons], dtype=np.float32).reshape(-1, 4),
        ids=np.array([s.identity for _, s in persons], dtype=np.int64),
        visible=np.array([seen[n] / s.image.getchannel("A").histogram()[255] for n, s in persons]),
    )


def box_of(sprite: Sprite, view: View) -> list[float]:
    """The extent of the whole person, hidden parts too, cut to the picture; xyxy, pixels of the picture."""
    (left, top), (wide, tall) = sprite.corner, sprite.image.size
    x1, x2 = (min(max(x, 0), view.width) for x in (left, left + wide))
    y1, y2 = (min(max(y, 0), view.height) for y in (top, top + tall))
    return [side / SUPERSAMPLING for side in (x1, y1, x2, y2)]


def cast_shadows(street: Street, sprites: Sequence[Sprite]) -> None:
    """Soft shadows on the ground: one below each foot and one away from the sun."""
    shadow = Image.new("L", street.canvas.size)
    draw = ImageDraw.Draw(shadow)
    for sprite in sprites:
        x, y = sprite.foot
        wide = 0.13 * sprite.tall
        draw.ellipse(around(x, y, wide, 0.22 * wide), fill=150)
        tip = x - street.light * 0.8 * sprite.tall
        draw.polygon(
            [(x - round(wide * 0.6), y), (round(tip - wide / 2), y - round(0.10 * sprite.tall)),
             (round(tip + wide / 2), y - round(0.12 * sprite.tall)), (x + round(wide * 0.6), y)],
            fill=street.shadow,
        )  # fmt: skip
    soft = shadow.filter(ImageFilter.BoxBlur(2))
    street.canvas.paste((24, 24, 32), (0, 0), soft)
