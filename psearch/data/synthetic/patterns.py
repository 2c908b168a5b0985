"""What is printed or woven into cloth: patterns coarse enough for a body of 64 pixels."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from PIL import ImageDraw

from psearch.data.synthetic.draws import Colour
from psearch.data.synthetic.figure import Figure, around


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
