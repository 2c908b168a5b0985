"""Cloth: patterns on shapes, garments of the upper and the lower body."""

from __future__ import annotations

from collections.abc import Sequence

from PIL import Image, ImageDraw

from psearch.data.synthetic.draws import Colour, scaled
from psearch.data.synthetic.figure import Figure, Pixel, around
from psearch.data.synthetic.identity import Identity

CHEST, WAIST = 0.80, 0.52


def cloth(figure: Figure, corners: Sequence[Pixel], pattern: str, base: Colour, second: Colour) -> None:
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
    print_pattern(ImageDraw.Draw(printed), printed.size, pattern, second, figure)
    figure.colour.paste(printed, (left, top), mask)


def print_pattern(
    draw: ImageDraw.ImageDraw, size: tuple[int, int], pattern: str, second: Colour, figure: Figure
) -> None:
    """The pattern on a piece of cloth of that size in pixels."""
    (width, height), step = size, max(4, round(0.085 * figure.scale))
    bands = range(step // 2, height, step)
    columns = range((width // 2) % step - step, width, step)
    half = step // 2
    if pattern in ("bands", "checks"):
        for y in bands:
            draw.rectangle((0, y, width, y + half - 1), fill=second)
    if pattern in ("columns", "checks"):
        for x in columns:
            draw.rectangle((x, 0, x + half - 1, height), fill=second)
    if pattern == "dots":
        for row, y in enumerate(bands):
            for x in columns:
                draw.ellipse(around(x + row % 2 * half, y, step * 0.3, step * 0.3), fill=second)
    if pattern == "block":
        draw.rectangle((0, 0, width, round(0.13 * figure.scale)), fill=second)
    if pattern == "sash":
        wide = round(0.05 * figure.scale)
        ends = [(0, 0), (wide, 0), (width, height), (width - wide, height)]
        if figure.cos < 0:
            ends = [(width - x, y) for x, y in ends]
        draw.polygon(ends, fill=second)
    if (pattern == "emblem" and figure.cos > 0.2) or (pattern == "back_print" and figure.cos < -0.2):
        shift = figure.sin * (0.3 if figure.cos > 0 else -0.3) * width
        centre, drop = width / 2 + shift, 0.13 * figure.scale
        across = 0.062 * figure.scale * abs(figure.cos)
        if pattern == "emblem":
            draw.ellipse(around(centre, drop, across, 0.062 * figure.scale), fill=second)
        else:
            draw.rectangle(around(centre, drop, across * 1.15, 0.09 * figure.scale), fill=second)


def tube(figure: Figure, rows: Sequence[tuple[float, float, float]]) -> list[Pixel]:
    """The outline of a garment around the body axis from rows (height, half width, half depth)."""
    spans = [(figure.breadth(lateral, forward), up) for up, lateral, forward in rows]
    right = [
        (figure.middle + round(w * figure.scale), figure.floor - round(up * figure.scale)) for w, up in spans
    ]
    left = [
        (figure.middle - round(w * figure.scale), figure.floor - round(up * figure.scale)) for w, up in spans
    ]
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
    if pattern not in ("bands", "columns", "checks", "dots"):
        pattern = "plain"
    rows = [(WAIST + 0.01, who.hip * 0.92, 0.07), (hem, who.hip + flare, 0.07 + flare)]
    cloth(figure, tube(figure, rows), pattern, base, second)


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
    cloth(figure, tube(figure, rows), who.upper_pattern, who.upper_colour, who.upper_second)
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
        corners = [
            (x - wide, y + tall),
            (x - wide // 2, y - tall),
            (x + wide // 2, y - tall),
            (x + wide, y + tall),
        ]
        figure.paint.polygon(corners, fill=scaled(who.upper_colour, 0.72))


def lapels(figure: Figure, who: Identity, hem: float) -> None:
    """An open front shows what is worn below it."""
    wide = 0.034 * figure.cos
    corners = [
        figure.pixel((lateral, up, 0.075))
        for lateral, up in (
            (-wide, 0.835),
            (wide, 0.835),
            (wide * 0.8, hem + 0.01),
            (-wide * 0.8, hem + 0.01),
        )
    ]
    figure.paint.polygon(corners, fill=who.scarf_colour)
