"""The canvas one body is drawn on: colour and shade apart, so that patterns are shaded like cloth."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from psearch.data.synthetic.draws import Colour, Draws, scaled, turn

Place = tuple[float, float, float]
"""A point of the body: to its own left, up from the soles, forward; in body heights."""
Pixel = tuple[int, int]

DARK, LIT, BRIGHT = 84, 126, 148
"""Shade levels; 128 leaves a colour as it is."""


class Figure:
    """A body turned by a share of a full turn: 0 faces the camera, 0.25 looks to the picture's right.

    scale: pixels per body height. light: -1 (from the left) to 1 (from the right).
    """

    def __init__(self, scale: float, facing: float, light: float) -> None:
        self.scale, self.light = scale, light
        self.cos, self.sin = turn(facing)
        self.middle, self.floor = round(0.55 * scale), round(1.16 * scale)
        size = (2 * self.middle, self.floor + round(0.04 * scale) + 1)
        self.colour = Image.new("RGBA", size)
        self.shade = Image.new("L", size, LIT)
        self.paint, self.tone = ImageDraw.Draw(self.colour), ImageDraw.Draw(self.shade)

    def pixel(self, place: Place) -> Pixel:
        """Where a point of the body lies on the canvas."""
        lateral, up, forward = place
        across = lateral * self.cos + forward * self.sin
        return self.middle + round(across * self.scale), self.floor - round(up * self.scale)

    def depth(self, place: Place) -> float:
        """How far a point comes towards the camera."""
        return place[2] * self.cos - place[0] * self.sin

    def breadth(self, lateral: float, forward: float) -> float:
        """Half the width seen of an elliptic cross-section with these half axes."""
        return math.sqrt((lateral * self.cos) ** 2 + (forward * self.sin) ** 2)

    def polygon(self, corners: Sequence[Pixel], colour: Colour, shade: int = LIT) -> None:
        """A flat patch."""
        self.paint.polygon(corners, fill=colour)
        self.tone.polygon(corners, fill=shade)

    def rounded(self, corners: Sequence[Pixel], colour: Colour) -> None:
        """A patch shaded like a cylinder: dark at its edges, lit on the side of the light."""
        self.polygon(corners, colour, DARK)
        centre = sum(x for x, _ in corners) / len(corners)
        wide = max(x for x, _ in corners) - min(x for x, _ in corners)
        for share, level in ((0.74, LIT), (0.34, BRIGHT)):
            shift = self.light * wide * (1 - share) * 0.42
            self.tone.polygon(
                [(round(centre + (x - centre) * share + shift), y) for x, y in corners], fill=level
            )

    def ball(self, centre: Pixel, across: float, along: float, colour: Colour) -> None:
        """An ellipse with these half axes in pixels, shaded like a ball."""
        x, y = centre
        self.paint.ellipse(around(x, y, across, along), fill=colour)
        self.tone.ellipse(around(x, y, across, along), fill=DARK)
        for share, level in ((0.8, LIT), (0.4, BRIGHT)):
            shift = self.light * across * (1 - share) * 0.6
            self.tone.ellipse(
                around(x + shift, y - along * (1 - share) * 0.3, across * share, along * share), fill=level
            )

    def limb(self, start: Place, end: Place, widths: tuple[float, float], colour: Colour) -> None:
        """A tapered tube between two points; widths are half widths in body heights."""
        (x0, y0), (x1, y1) = self.pixel(start), self.pixel(end)
        length = math.sqrt((x1 - x0) ** 2 + (y1 - y0) ** 2) or 1.0
        across, down = (y1 - y0) / length, -(x1 - x0) / length
        a, b = widths[0] * self.scale, widths[1] * self.scale
        self.paint.ellipse(around(x1, y1, b, b), fill=colour)
        self.tone.ellipse(around(x1, y1, b, b), fill=DARK + 16)

        def band(low: float, high: float) -> list[Pixel]:
            return [
                (round(x + across * w * t), round(y + down * w * t))
                for x, y, w, t in ((x0, y0, a, low), (x0, y0, a, high), (x1, y1, b, high), (x1, y1, b, low))
            ]

        self.polygon(band(-1, 1), colour, DARK)
        side = self.light * (1 if across >= 0 else -1)
        self.tone.polygon(band(-0.6 + 0.35 * side, 0.6 + 0.35 * side), fill=LIT)
        self.tone.polygon(band(-0.15 + 0.4 * side, 0.25 + 0.4 * side), fill=BRIGHT)

    def stroke(self, places: Sequence[Place], width: float, colour: Colour) -> None:
        """A strap or a seam along body points; width in body heights."""
        points = [self.pixel(place) for place in places]
        self.paint.line(points, fill=colour, width=max(2, round(width * self.scale)))

    def finished(self) -> tuple[Image.Image, int, int]:
        """The body as RGBA with its shade worked in, cut to its extent; column and row of its foot in it."""
        extent = self.colour.getbbox()
        assert extent is not None
        soft = self.shade.crop(extent).filter(ImageFilter.BoxBlur(max(1, round(self.scale * 0.008))))
        pixels = np.asarray(self.colour.crop(extent)).astype(np.uint16)
        pixels[..., :3] = np.minimum(pixels[..., :3] * np.asarray(soft)[..., None] >> 7, 255)
        body = Image.fromarray(pixels.astype(np.uint8))
        return body, self.middle - extent[0], self.floor - extent[1]


def around(x: float, y: float, across: float, along: float) -> tuple[int, int, int, int]:
    """The whole-pixel box of an ellipse."""
    left, top = round(x - across), round(y - along)
    return left, top, max(left, round(x + across)), max(top, round(y + along))


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
