"""The empty street: sky, ground and the rows of houses, drawn in perspective."""

from __future__ import annotations

from dataclasses import dataclass

from PIL import Image, ImageDraw

from psearch.data.synthetic.draws import Colour, Draws, mixed, scaled
from psearch.data.synthetic.figure import around
from psearch.data.synthetic.lens import View

PAVINGS: tuple[Colour, ...] = (
    (150, 146, 140),
    (134, 130, 128),
    (160, 150, 136),
    (124, 126, 124),
    (142, 124, 112),
)
SKIES: tuple[Colour, ...] = (
    (176, 196, 214),
    (204, 208, 210),
    (160, 182, 208),
    (214, 204, 190),
    (188, 192, 198),
)
FAR = 120.0


class Street:
    """The picture that everything else is set into.

    canvas: RGB, the size of the view. light: -1 (sun from the left) to 1.
    shadow: how dark shadows are, 0..255.
    """

    def __init__(self, draws: Draws, view: View) -> None:
        self.draws, self.view = draws, view
        self.light = draws.pick((-1.0, -0.6, 0.6, 1.0))
        self.shadow = draws.below(110) + 40
        self.canvas = Image.new("RGB", (view.width, view.height))
        self.draw = ImageDraw.Draw(self.canvas)
        self.sky()
        self.ground()
        for wall in self.walls():
            Facade(self.draw, view, wall).build(draws, self.light)

    def sky(self) -> None:
        """A gradient, paler towards the horizon."""
        base, horizon = self.draws.tint(self.draws.pick(SKIES), 10), round(self.view.horizon) + 4
        steps = 8
        for step in range(steps):
            top = horizon * step // steps
            self.draw.rectangle(
                (0, top, self.view.width, horizon), fill=mixed(base, (226, 226, 222), step / steps)
            )

    def ground(self) -> None:
        """Pavement with joints, a road along or across it, stains."""
        paving = self.draws.tint(self.draws.pick(PAVINGS), 8)
        self.strip((-FAR, 1.2), (FAR, FAR), paving)
        if self.draws.chance(0.75):
            self.joints(scaled(paving, 0.86))
        if self.draws.chance(0.4):
            self.road_along()
        elif self.draws.chance(0.6):
            self.road_across()
        for _ in range(6 + self.draws.below(8)):
            self.stain(paving)

    def strip(self, near: tuple[float, float], far: tuple[float, float], colour: Colour) -> None:
        """A rectangle of ground between two corners (right, away)."""
        corners = [(near[0], near[1]), (far[0], near[1]), (far[0], far[1]), (near[0], far[1])]
        self.draw.polygon([self.view.pixel(x, 0, z) for x, z in corners], fill=colour)

    def joints(self, colour: Colour) -> None:
        """The grid of the paving stones."""
        step, away = self.draws.pick((0.6, 0.9, 1.2)), 1.4
        while away < 14:
            row = self.view.pixel(0, 0, away)[1]
            self.draw.line((0, row, self.view.width, row), fill=colour)
            away += step * (1 + away / 8)
        for i in range(-14, 15):
            x = i * 0.9
            self.draw.line((*self.view.pixel(x, 0, 1.2), *self.view.pixel(x, 0, 30)), fill=colour)

    def road_along(self) -> None:
        """A road that runs away from the camera."""
        asphalt = self.draws.tint((92, 93, 97), 12)
        left = self.draws.pick((-7.0, 1.2, 2.0, -8.0))
        self.strip((left - 0.18, 1.2), (left + 6.2, FAR), scaled((178, 176, 172), 0.95))
        self.strip((left, 1.2), (left + 6, FAR), asphalt)
        away = self.draws.between(1.5, 4)
        while away < 40:
            self.strip((left + 2.92, away), (left + 3.08, away + 1.6), (206, 204, 196))
            away += 4

    def road_across(self) -> None:
        """A road from left to right, sometimes with a crossing."""
        asphalt = self.draws.tint((92, 93, 97), 12)
        near = self.draws.between(3.5, 9)
        far = near + self.draws.between(2.5, 6)
        self.strip((-FAR, near - 0.15), (FAR, far + 0.3), (176, 174, 170))
        self.strip((-FAR, near), (FAR, far), asphalt)
        if self.draws.chance(0.5):
            start = self.draws.between(-3, 1)
            for i in range(6):
                self.strip((start + i * 0.9, near + 0.2), (start + i * 0.9 + 0.5, far - 0.2), (206, 204, 198))

    def stain(self, paving: Colour) -> None:
        """A puddle, a manhole or a leaf on the ground."""
        away = self.draws.between(2, 12)
        x, y = self.view.pixel(self.draws.between(-1, 1) * self.view.reach(away), 0, away)
        across = self.draws.between(0.06, 0.4) * self.view.metre(away)
        along = across * self.draws.between(0.15, 0.35)
        colour = self.draws.tint(scaled(paving, self.draws.between(0.78, 1.08)), 3)
        self.draw.ellipse(around(x, y, across, along), fill=colour)

    def walls(self) -> list[Wall]:
        """The facades, farthest first: an open square, one side, or a street between two rows."""
        draws, walls = self.draws, []
        back = draws.between(9, 30)
        right = -self.view.reach(back)
        while right < self.view.reach(back):
            wide = draws.between(3.5, 9)
            if not draws.chance(0.15):
                walls.append(Wall((right, back), (right + wide, back), draws.between(4, 14)))
            right += wide
        for side in (-1, 1):
            if draws.chance(0.45):
                at, away, row = side * draws.between(2.6, 5.5), back, []
                while away > 2.2:
                    deep = min(draws.between(3, 7), away - 2)
                    row.append(Wall((at, away - deep), (at, away), draws.between(4, 12)))
                    away -= deep
                walls += row
        return walls


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
