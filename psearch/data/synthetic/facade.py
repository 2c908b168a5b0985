"""House fronts, drawn in perspective."""

from __future__ import annotations

from dataclasses import dataclass

from PIL import ImageDraw

from psearch.data.synthetic.draws import Colour, Draws, mixed, scaled
from psearch.data.synthetic.lens import View

FACADES: tuple[Colour, ...] = (
    (156, 138, 120), (132, 88, 72), (176, 164, 144), (110, 112, 116), (190, 180, 166), (146, 116, 88),
    (120, 128, 136), (164, 150, 152), (98, 84, 78), (186, 168, 128),
)  # fmt: skip
SIGNS: tuple[Colour, ...] = (
    (160, 52, 48), (48, 84, 132), (52, 104, 76), (196, 156, 72), (60, 60, 66), (208, 204, 196),
    (132, 76, 112),
)  # fmt: skip
PANES: tuple[Colour, ...] = ((58, 66, 78), (84, 96, 108), (44, 46, 52))


@dataclass(frozen=True)
class Wall:
    """A facade from one ground point to another (right, away), in metres, and its height."""

    start: tuple[float, float]
    end: tuple[float, float]
    tall: float


class Facade:
    """One house front on a canvas; light is -1 (sun from the left) to 1."""

    def __init__(self, draw: ImageDraw.ImageDraw, view: View, wall: Wall) -> None:
        self.draw, self.view, self.wall = draw, view, wall

    def build(self, draws: Draws, light: float) -> None:
        """Shade by its direction, haze by its distance, windows in floors, a shop at the ground."""
        wall = self.wall
        frontal = wall.start[1] == wall.end[1]
        sun = 1.0 if frontal else 0.82 + 0.22 * light * (1 if wall.start[0] < 0 else -1)
        haze = min(0.4, (wall.start[1] + wall.end[1]) / 120)
        base = mixed(scaled(draws.tint(draws.pick(FACADES), 12), sun), (206, 208, 210), haze)
        self.panel((0, 1), (0, wall.tall), base)
        self.panel((0, 1), (wall.tall - 0.35, wall.tall), scaled(base, 0.75))
        length = abs(wall.end[0] - wall.start[0]) + abs(wall.end[1] - wall.start[1])
        bays = max(1, int(length / draws.between(1.4, 2.4)))
        pane = mixed(scaled(draws.pick(PANES), sun), base, 0.15)
        self.floors(bays, pane, frame=scaled(base, draws.pick((1.18, 0.84))))
        self.shop(draws, bays, base, pane)

    def floors(self, bays: int, pane: Colour, frame: Colour) -> None:
        """Rows of framed windows, as far up as can be seen."""
        bottom, top = 3.2, min(self.wall.tall - 0.7, self.highest())
        while bottom < top:
            for bay in range(bays):
                left, right = (bay + 0.24) / bays, (bay + 0.76) / bays
                edge = 0.03 / bays
                self.panel((left - edge, right + edge), (bottom - 0.1, bottom + 1.6), frame)
                self.panel((left, right), (bottom, bottom + 1.5), pane)
            bottom += 2.8

    def shop(self, draws: Draws, bays: int, base: Colour, pane: Colour) -> None:
        """Ground floor: a plinth, shop windows, doors, a sign."""
        self.panel((0, 1), (0, 0.5), scaled(base, 0.8))
        for bay in range(bays):
            if draws.chance(0.3):
                self.panel(((bay + 0.3) / bays, (bay + 0.7) / bays), (0, 2.3), scaled(draws.pick(SIGNS), 0.7))
                continue
            left, right = (bay + 0.12) / bays, (bay + 0.88) / bays
            self.panel((left, right), (0.6, 2.3), draws.tint(pane, 14))
            if draws.chance(0.5):
                goods = draws.tint(mixed(pane, (200, 180, 150), 0.4), 20)
                self.panel((left, (left + right) / 2), (0.6, 1.2), goods)
        if draws.chance(0.6):
            self.panel((0.04, 0.96), (2.4, 2.95), draws.tint(draws.pick(SIGNS), 12))

    def highest(self) -> float:
        """The height in metres up to which the wall can be seen."""
        away = max(self.wall.start[1], self.wall.end[1])
        return self.view.eye + self.view.horizon * away / self.view.focal

    def panel(self, along: tuple[float, float], up: tuple[float, float], colour: Colour) -> None:
        """A rectangle on the wall: a part of its length and a range of heights."""
        (x0, z0), (x1, z1) = self.wall.start, self.wall.end
        near, far = ((x0 + (x1 - x0) * t, z0 + (z1 - z0) * t) for t in along)
        low, high = up
        corners = ((*near, low), (*far, low), (*far, high), (*near, high))
        self.draw.polygon([self.view.pixel(x, h, z) for x, z, h in corners], fill=colour)
