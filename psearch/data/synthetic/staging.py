"""Where people and things stand: cut-outs on the ground of a view."""

from __future__ import annotations

from dataclasses import dataclass

from PIL import Image, ImageDraw

from psearch.data.synthetic.clutter import OBSTACLES, car
from psearch.data.synthetic.draws import Draws
from psearch.data.synthetic.identity import Identity
from psearch.data.synthetic.lens import BODY, View
from psearch.data.synthetic.lookalikes import LOOKALIKES
from psearch.data.synthetic.person import draw_person, draw_pose

HEIGHTS = (0.26, 0.33, 0.42, 0.50, 0.60, 0.75, 0.82)
"""Body heights in picture heights at the quantiles below."""
QUANTILES = (0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0)


@dataclass(frozen=True, eq=False)
class Sprite:
    """A cut-out and where it stands: the column and row of its foot on the canvas, and in the cut-out."""

    image: Image.Image
    foot: tuple[int, int]
    anchor: tuple[int, int]
    tall: float
    identity: int | None = None

    @property
    def corner(self) -> tuple[int, int]:
        """Where its upper left corner lies on the canvas."""
        return self.foot[0] - self.anchor[0], self.foot[1] - self.anchor[1]


def place_people(draws: Draws, view: View, light: float, people: list[tuple[int, Identity]]) -> list[Sprite]:
    """People at random distances and places, in the open where possible."""
    sprites: list[Sprite] = []
    taken: list[tuple[float, float]] = []
    for number, who in people:
        body = quantile(draws.generator.random()) * view.height
        row = round(view.horizon + view.eye * body / BODY)
        column = free_column(draws, view, body, taken)
        taken.append((column, body))
        image, middle, floor = draw_person(who, draw_pose(draws), body * who.stature, light)
        shaded = half_in_shade(draws, dimmed(image, draws.between(0.6, 1.08)))
        sprites.append(Sprite(shaded, (column, row), (middle, floor), body, number))
    return sprites


def dimmed(image: Image.Image, factor: float) -> Image.Image:
    """The cut-out in more or less light."""
    table = [min(255, int(value * factor)) for value in range(256)]
    return image.point(table * 3 + list(range(256)))


def half_in_shade(draws: Draws, image: Image.Image) -> Image.Image:
    """Often the edge of a shadow runs across a person: what lies above or below it is darker."""
    if draws.chance(0.5):
        return image
    width, height = image.size
    left, right = (round(draws.between(0.15, 0.95) * height) for _ in range(2))
    end = draws.pick((0, height))
    shade = Image.new("L", image.size)
    ImageDraw.Draw(shade).polygon([(0, left), (width, right), (width, end), (0, end)], fill=255)
    dark = dimmed(image, draws.between(0.4, 0.7))
    return Image.composite(dark, image, shade)


def free_column(draws: Draws, view: View, body: float, taken: list[tuple[float, float]]) -> int:
    """A column for a body of that height, away from the others if one is found quickly."""
    column = 0
    for _ in range(6):
        column = round(draws.between(0.03, 0.97) * view.width)
        if all(abs(column - x) > 0.10 * (body + other) for x, other in taken):
            break
    return column


def quantile(share: float) -> float:
    """The body height, in picture heights, below which that share of people lies."""
    step = max(i for i, low in enumerate(QUANTILES[:-1]) if low <= share)
    part = (share - QUANTILES[step]) / (QUANTILES[step + 1] - QUANTILES[step])
    return HEIGHTS[step] + part * (HEIGHTS[step + 1] - HEIGHTS[step])


def place_things(draws: Draws, view: View, light: float) -> list[Sprite]:
    """Obstacles in front of and behind people, look-alikes, parked cars."""
    makers = [draws.pick(OBSTACLES) for _ in range(3 + draws.below(6))]
    makers += [draws.pick(LOOKALIKES) for _ in range(draws.below(4))]
    makers += [car for _ in range(draws.below(3))]
    sprites = []
    for maker in makers:
        away = draws.between(4.0, 16.0) if maker is car else draws.between(2.4, 9.0)
        scale = view.metre(away)
        thing = maker(draws, scale, light)
        column = round(draws.between(0.0, 1.0) * view.width)
        row = round(view.horizon + view.eye * scale)
        sprites.append(Sprite(thing.image, (column, row), (thing.middle, thing.floor), BODY * scale))
    return sprites
