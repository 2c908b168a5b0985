"""Garments of the upper and the lower body."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from PIL import Image, ImageDraw

from psearch.data.synthetic.appearance import Identity
from psearch.data.synthetic.draws import Colour, scaled
from psearch.data.synthetic.figure import Figure, Pixel, around

CHEST, WAIST = 0.80, 0.52


def drape(figure: Figure, corners: Sequence[Pixel], pattern: str, base: Colour, second: Colour) -> None:
    """A shaded shape with a pattern printed on it; sizes of the pattern follow the body, not the shape."""
    figure.rounded(corners, base)
    if pattern == "plain":
        return
    left, top = min(x for x, _ in corners), min(y for _, y in corners)
    right, bottom = max(x for x, _ in corners) + 1, max(y for _, y in corners) + 1
    if right - left < 3 or bottom - top < 3:
        return
    mask = Image.new("L", (right - left, bottom - top))
    ImageDraw.Draw(mask).polygon([(x - left, y - top) for x, y in corners], fill=255)
    printed = Image.new("RGB", mask.size, base)
    PRINTS[pattern](Cloth(ImageDraw.Draw(printed), printed.size, second, figure))
    figure.colour.paste(printed, (left, top), mask)


def tube(figure: Figure, rows: Sequence[tuple[float, float, float]]) -> list[Pixel]:
    """The outline of a garment around the body axis from rows (height, half width, half depth)."""
    left, right = [], []
    for up, lateral, forward in rows:
        across = round(figure.breadth(lateral, forward) * figure.scale)
        row = figure.floor - round(up * figure.scale)
        left.append((figure.middle - across, row))
        right.append((figure.middle + across, row))
    return right + left[::-1]


def wear_lower(figure: Figure, who: Identity, stride: float) -> None:
    """A skirt, where one is worn; trousers and shorts are drawn with the legs."""
    flare = 0.03 + 0.25 * stride
    if who.upper == "dress":
        hem, pattern, base, second = 0.27, who.upper_pattern, who.upper_colour, who.upper_second
    elif who.lower in ("skirt", "long_skirt"):
        hem, base, second = (0.32 if who.lower == "skirt" else 0.10), who.lower_colour, who.lower_second
        pattern = "bands" if who.lower_stripe else "plain"
    else:
        return
    pattern = pattern if pattern in WRAPPING else "plain"
    rows = [(WAIST + 0.01, who.hip * 0.92, 0.07), (hem, who.hip + flare, 0.07 + flare)]
    drape(figure, tube(figure, rows), pattern, base, second)


def wear_upper(figure: Figure, who: Identity) -> None:
    """The garment of the trunk: from the shoulders to the waist, or further down for a coat."""
    hem = {"coat": 0.27, "jacket": 0.46, "hoodie": 0.47}.get(who.upper, 0.49)
    bulk = {"coat": 0.012, "jacket": 0.012, "hoodie": 0.014, "vest": 0.010}.get(who.upper, 0.0)
    rows = [
        (0.835, who.shoulder * 0.55, 0.05),
        (CHEST, who.shoulder + bulk, 0.075 + bulk),
        (0.62, (who.shoulder + who.hip) * 0.48 + bulk, 0.068 + bulk),
        (hem, who.hip + bulk + (0.03 if who.upper == "coat" else 0.0), 0.075 + bulk),
    ]
    drape(figure, tube(figure, rows), who.upper_pattern, who.upper_colour, who.upper_second)
    if who.upper == "hoodie":
        hood(figure, who)
    if who.upper in ("jacket", "coat") and figure.cos > 0.1:
        lapels(figure, who, hem)


def hood(figure: Figure, who: Identity) -> None:
    """A hood lies on the back of the neck and a pouch on the belly."""
    across = figure.breadth(0.085, 0.05) * figure.scale
    place = figure.pixel((0.0, 0.835, -0.045))
    figure.ball(place, across, 0.038 * figure.scale, scaled(who.upper_colour, 0.8))
    if figure.cos > 0.3:
        x, y = figure.pixel((0.0, 0.54, 0.07))
        wide, tall = round(0.06 * figure.scale * figure.cos), round(0.028 * figure.scale)
        half, low, high = wide // 2, y + tall, y - tall
        corners = [(x - wide, low), (x - half, high), (x + half, high), (x + wide, low)]
        figure.paint.polygon(corners, fill=scaled(who.upper_colour, 0.72))


def lapels(figure: Figure, who: Identity, hem: float) -> None:
    """An open front shows what is worn below it."""
    wide = 0.034 * figure.cos
    edges = ((-wide, 0.835), (wide, 0.835), (wide * 0.8, hem + 0.01), (-wide * 0.8, hem + 0.01))
    corners = [figure.pixel((lateral, up, 0.075)) for lateral, up in edges]
    figure.paint.polygon(corners, fill=who.scarf_colour)


@dataclass(frozen=True)
class Cloth:
    """A piece of cloth as wide and tall as what of a garment is seen; sizes of a print follow the body."""

    draw: ImageDraw.ImageDraw
    size: tuple[int, int]
    colour: Colour
    figure: Figure

    @property
    def step(self) -> int:
        """From one repetition to the next, in pixels."""
        return max(4, round(0.085 * self.figure.scale))

    @property
    def rows(self) -> range:
        """Where repetitions begin from the top down."""
        return range(self.step // 2, self.size[1], self.step)

    @property
    def columns(self) -> range:
        """Where repetitions begin from left to right; the middle of the body keeps its place."""
        return range(self.size[0] // 2 % self.step - self.step, self.size[0], self.step)


def plain(cloth: Cloth) -> None:
    """No print."""


def bands(cloth: Cloth) -> None:
    """Horizontal stripes."""
    for y in cloth.rows:
        cloth.draw.rectangle((0, y, cloth.size[0], y + cloth.step // 2 - 1), fill=cloth.colour)


def columns(cloth: Cloth) -> None:
    """Vertical stripes."""
    for x in cloth.columns:
        cloth.draw.rectangle((x, 0, x + cloth.step // 2 - 1, cloth.size[1]), fill=cloth.colour)


def checks(cloth: Cloth) -> None:
    """Stripes both ways."""
    bands(cloth)
    columns(cloth)


def dots(cloth: Cloth) -> None:
    """Dots, every other row shifted."""
    radius = cloth.step * 0.3
    for row, y in enumerate(cloth.rows):
        for x in cloth.columns:
            shift = row % 2 * (cloth.step // 2)
            cloth.draw.ellipse(around(x + shift, y, radius, radius), fill=cloth.colour)


def block(cloth: Cloth) -> None:
    """Another colour across the shoulders."""
    cloth.draw.rectangle((0, 0, cloth.size[0], round(0.13 * cloth.figure.scale)), fill=cloth.colour)


def sash(cloth: Cloth) -> None:
    """A diagonal, which runs the other way on the back."""
    (width, height), broad = cloth.size, round(0.05 * cloth.figure.scale)
    ends = [(0, 0), (broad, 0), (width, height), (width - broad, height)]
    if cloth.figure.cos < 0:
        ends = [(width - x, y) for x, y in ends]
    cloth.draw.polygon(ends, fill=cloth.colour)


def emblem(cloth: Cloth) -> None:
    """A disc on the chest."""
    figure = cloth.figure
    if figure.cos > 0.2:
        centre, radius = (0.5 + 0.3 * figure.sin) * cloth.size[0], 0.062 * figure.scale
        cloth.draw.ellipse(
            around(centre, 0.13 * figure.scale, radius * figure.cos, radius), fill=cloth.colour
        )


def back_print(cloth: Cloth) -> None:
    """A panel on the back."""
    figure = cloth.figure
    if figure.cos < -0.2:
        centre, across = (0.5 - 0.3 * figure.sin) * cloth.size[0], -0.071 * figure.cos * figure.scale
        panel = around(centre, 0.13 * figure.scale, across, 0.09 * figure.scale)
        cloth.draw.rectangle(panel, fill=cloth.colour)


PRINTS: dict[str, Callable[[Cloth], None]] = {
    "plain": plain,
    "bands": bands,
    "columns": columns,
    "checks": checks,
    "dots": dots,
    "block": block,
    "sash": sash,
    "emblem": emblem,
    "back_print": back_print,
}
WRAPPING = ("bands", "columns", "checks", "dots")
"""Patterns that go all around, on skirts too."""
