"""The canvas of one street object, in metres."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from PIL import Image, ImageDraw

from psearch.data.synthetic.draws import Colour, Draws, scaled
from psearch.data.synthetic.figure import around

METAL: tuple[Colour, ...] = ((72, 76, 80), (104, 108, 110), (52, 66, 60), (44, 46, 50))
STONE: tuple[Colour, ...] = ((168, 164, 156), (120, 124, 118), (196, 190, 178))


class Thing:
    """A picture of an object on a canvas of its own.

    scale: pixels per metre. light: -1 (from the left) to 1. Coordinates are metres, right of its foot and up.
    """

    def __init__(self, wide: float, tall: float, scale: float, light: float) -> None:
        self.scale, self.light = scale, light
        self.middle, self.floor = round(wide / 2 * scale) + 2, round(tall * scale) + 2
        self.image = Image.new("RGBA", (2 * self.middle, self.floor + round(0.1 * scale) + 2))
        self.draw = ImageDraw.Draw(self.image)

    def at(self, right: float, up: float) -> tuple[int, int]:
        """The pixel of a point."""
        return self.middle + round(right * self.scale), self.floor - round(up * self.scale)

    def shape(self, points: Sequence[tuple[float, float]], colour: Colour) -> None:
        """A flat polygon."""
        self.draw.polygon([self.at(*point) for point in points], fill=colour)

    def slab(self, left: float, right: float, low: float, high: float, colour: Colour) -> None:
        """An upright rectangle."""
        self.shape([(left, low), (right, low), (right, high), (left, high)], colour)

    def post(self, centre: float, half: float, low: float, high: float, colour: Colour) -> None:
        """A round post: lit on one side, dark on the other."""
        self.slab(centre - half, centre + half, low, high, scaled(colour, 0.7))
        shift = 0.35 * half * self.light
        self.slab(centre - half * 0.5 + shift, centre + half * 0.5 + shift, low, high, scaled(colour, 1.1))

    def disc(self, right: float, up: float, across: float, along: float, colour: Colour) -> None:
        """An ellipse."""
        x, y = self.at(right, up)
        self.draw.ellipse(around(x, y, across * self.scale, along * self.scale), fill=colour)


Maker = Callable[[Draws, float, float], Thing]
"""Draws an object from chance, pixels per metre and the side of the light."""
