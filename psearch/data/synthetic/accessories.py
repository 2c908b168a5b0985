"""Heads, hats and bags."""

from __future__ import annotations

from psearch.data.synthetic.appearance import Identity
from psearch.data.synthetic.draws import Colour, scaled
from psearch.data.synthetic.figure import Figure, Place

HEAD, RADIUS = 0.915, 0.068


def draw_hair_behind(figure: Figure, who: Identity) -> None:
    """Long hair and tails, drawn before the trunk when the person faces the camera, after it otherwise."""
    if who.haircut == "long":
        x, y = figure.pixel((0.0, 0.86, -0.02))
        figure.ball((x, y), 0.078 * figure.scale, 0.10 * figure.scale, who.hair)
    if who.haircut == "ponytail":
        figure.limb((0.0, 0.94, -0.07), (0.0, 0.78, -0.11), (0.026, 0.020), who.hair)


def draw_head(figure: Figure, who: Identity) -> None:
    """Neck, head, hair and face, seen from where the camera stands."""
    radius = RADIUS * figure.scale
    x, y = figure.pixel((0.0, HEAD, 0.012))
    if who.haircut == "full":
        figure.ball((x, y - round(0.2 * radius)), 1.45 * radius, 1.4 * radius, who.hair)
    if who.haircut == "bun":
        figure.ball(figure.pixel((0.0, 0.985, -0.03)), 0.6 * radius, 0.55 * radius, who.hair)
    figure.ball((x, y), 0.92 * radius, 1.2 * radius, who.skin if who.haircut == "bald" else who.hair)
    if figure.cos > -0.55:
        shift = round(figure.sin * 0.42 * radius)
        wide = (0.58 + 0.24 * max(figure.cos, 0.0)) * radius
        figure.ball((x + shift, y + round(0.22 * radius)), wide, 0.95 * radius, who.skin)
    draw_hat(figure, who, (x, y), radius)


def draw_hat(figure: Figure, who: Identity, centre: tuple[int, int], radius: float) -> None:
    """A cap shows its peak where the face looks."""
    if who.hat == "none":
        return
    x, y = centre
    top = y - round(0.55 * radius)
    figure.ball((x, top), 1.06 * radius, (0.95 if who.hat == "beanie" else 0.72) * radius, who.hat_colour)
    if who.hat == "beanie":
        figure.ball(
            (x, top - round(0.95 * radius)), 0.34 * radius, 0.34 * radius, scaled(who.hat_colour, 1.3)
        )
    if who.hat == "brim":
        figure.ball(
            (x, top + round(0.35 * radius)), 1.9 * radius, 0.34 * radius, scaled(who.hat_colour, 0.85)
        )
    if who.hat == "cap" and figure.cos > -0.5:
        peak = x + round(figure.sin * 1.2 * radius)
        wide = (0.65 + 0.3 * abs(figure.cos)) * radius
        figure.ball((peak, top + round(0.42 * radius)), wide, 0.24 * radius, scaled(who.hat_colour, 0.7))


def draw_scarf(figure: Figure, who: Identity) -> None:
    """A ring around the neck with an end that hangs down in front."""
    figure.ball(figure.pixel((0.0, 0.835, 0.01)), 0.07 * figure.scale, 0.032 * figure.scale, who.scarf_colour)
    if figure.cos > -0.2:
        figure.limb((0.03, 0.83, 0.075), (0.035, 0.68, 0.08), (0.02, 0.024), who.scarf_colour)


def draw_backpack(figure: Figure, who: Identity) -> None:
    """The pack itself; it lies behind the trunk for a person who faces the camera."""
    back = -0.125
    wide = figure.breadth(0.105, 0.065) * figure.scale
    x, _ = figure.pixel((0.0, 0.0, back))
    top, bottom = (figure.floor - round(up * figure.scale) for up in (0.83, 0.55))
    w, inset = round(wide), round(wide * 0.75)
    tip = round(0.03 * figure.scale)
    figure.rounded(
        [
            (x - w, bottom),
            (x - w, top + tip),
            (x - inset, top),
            (x + inset, top),
            (x + w, top + tip),
            (x + w, bottom),
        ],
        who.bag_colour,
    )
    if figure.cos < 0:
        pocket = [
            (x - inset, bottom),
            (x - inset, bottom - 4 * tip),
            (x + inset, bottom - 4 * tip),
            (x + inset, bottom),
        ]
        figure.paint.polygon(pocket, fill=scaled(who.bag_colour, 0.72))


def draw_straps(figure: Figure, who: Identity) -> None:
    """Two straps over the chest are all that is seen of a backpack from the front."""
    for side in (-1, 1):
        lateral = side * who.shoulder * 0.55
        figure.stroke(
            [(lateral, 0.83, 0.06), (lateral * 1.1, 0.62, 0.08)], 0.026, scaled(who.bag_colour, 0.9)
        )


def draw_shoulder_bag(figure: Figure, who: Identity) -> None:
    """A bag on the left hip, its strap across the trunk on both sides."""
    face = 0.08 if figure.cos > 0 else -0.08
    figure.stroke(
        [(-who.shoulder * 0.7, 0.82, face), (who.hip + 0.02, 0.50, face)], 0.024, scaled(who.bag_colour, 0.8)
    )
    draw_box(figure, (who.hip + 0.035, 0.47, 0.0), (0.035, 0.085), 0.065, who.bag_colour)


def draw_box(figure: Figure, place: Place, half: tuple[float, float], tall: float, colour: Colour) -> None:
    """A bag-shaped box: `half` its half width across and along the body, `tall` its half height."""
    x, y = figure.pixel(place)
    wide, high = round(figure.breadth(*half) * figure.scale), round(tall * figure.scale)
    inset = round(wide * 0.8)
    figure.rounded(
        [(x - inset, y - high), (x + inset, y - high), (x + wide, y + high), (x - wide, y + high)], colour
    )


def draw_carried(figure: Figure, who: Identity, hand: Place) -> None:
    """A handbag or a trolley in the right hand."""
    lateral, up, forward = hand
    if who.bag == "handbag":
        figure.stroke([hand, (lateral, up - 0.05, forward)], 0.05, scaled(who.bag_colour, 0.6))
        draw_box(figure, (lateral, up - 0.115, forward), (0.04, 0.10), 0.07, who.bag_colour)
    if who.bag == "trolley":
        foot = (lateral - 0.05, 0.16, forward - 0.16)
        figure.stroke([hand, foot], 0.022, (60, 60, 64))
        draw_box(figure, foot, (0.075, 0.075), 0.13, who.bag_colour)
