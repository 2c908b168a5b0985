"""One picture: a street, things and people set into it from back to front, and who can be seen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from psearch.data.synthetic.draws import Draws
from psearch.data.synthetic.figure import around
from psearch.data.synthetic.identity import Identity, draw_stranger, numbered_identity
from psearch.data.synthetic.lens import CAMERAS, View, camera_sensor, draw_view, photograph
from psearch.data.synthetic.staging import Sprite, place_people, place_things
from psearch.data.synthetic.street import Street
from psearch.types import UNLABELLED

SUPERSAMPLING = 2
HIDDEN = 0.35
"""A person of whom less than this share can be seen is not asked for."""
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


def render_scene(
    index: int, identities: Sequence[int], *, seed: int, split: int, height: int, width: int
) -> Rendered:
    """Scene `index` of a split, with these labelled people and up to two others.

    Drawn again, with other places and poses, while a labelled person is hidden; one who stays hidden
    after the last attempt is UNLABELLED and ignored.
    """
    for attempt in range(ATTEMPTS):
        draws = Draws(seed, 4, split, index, attempt)
        view = draw_view(draws, SUPERSAMPLING * height, SUPERSAMPLING * width)
        scene = compose(draws, view, people_of(draws, seed, split, identities), seed)
        if (scene.visible[scene.ids != UNLABELLED] >= HIDDEN).all():
            break
    return hide(scene)


def hide(scene: Rendered) -> Rendered:
    """The scene with its hidden people ignored and those nobody sees left out."""
    ignore = scene.visible < HIDDEN
    ids = np.where(ignore, UNLABELLED, scene.ids)
    kept = scene.visible > 0.04
    return Rendered(
        scene.pixels, scene.boxes[kept], ids[kept], ignore[kept], scene.visible[kept], scene.camera
    )


def people_of(draws: Draws, seed: int, split: int, identities: Sequence[int]) -> list[tuple[int, Identity]]:
    """The labelled people, then up to two passers-by whom nobody has named."""
    known = [(number, numbered_identity(seed, split, number)) for number in identities]
    strangers = [(UNLABELLED, draw_stranger(draws)) for _ in range(draws.below(3))]
    return known + strangers


def compose(draws: Draws, view: View, people: list[tuple[int, Identity]], seed: int) -> Rendered:
    """Street, shadows, things and people, then the camera."""
    street = Street(draws, view)
    sprites = place_things(draws, view, street.light) + place_people(draws, view, street.light, people)
    sprites.sort(key=lambda sprite: sprite.foot[1])
    cast_shadows(street, sprites)
    owner = Image.new("L", street.canvas.size)
    for number, sprite in enumerate(sprites, start=1):
        street.canvas.paste(sprite.image, sprite.corner, sprite.image)
        solid = sprite.image.getchannel("A")
        owner.paste(number, sprite.corner, solid)
    seen = owner.histogram()
    persons = [(n, s) for n, s in enumerate(sprites, start=1) if s.identity is not None]
    camera = draws.below(CAMERAS)
    pixels = np.asarray(street.canvas.reduce(SUPERSAMPLING))
    return Rendered(
        pixels=photograph(draws, pixels, camera_sensor(seed, camera)),
        boxes=np.array([box_of(s, view) for _, s in persons], dtype=np.float32).reshape(-1, 4),
        ids=np.array([s.identity for _, s in persons], dtype=np.int64),
        ignore=np.zeros(len(persons), dtype=bool),
        visible=np.array([seen[n] / s.image.getchannel("A").histogram()[255] for n, s in persons]),
        camera=camera,
    )


def box_of(sprite: Sprite, view: View) -> list[float]:
    """The extent of the whole person, hidden parts too, cut to the picture; xyxy, pixels of the picture."""
    extent = sprite.image.getbbox()
    assert extent is not None
    left, top = sprite.corner
    x1, x2 = (min(max(x + left, 0), view.width) for x in (extent[0], extent[2]))
    y1, y2 = (min(max(y + top, 0), view.height) for y in (extent[1], extent[3]))
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
