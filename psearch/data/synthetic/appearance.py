"""Who a person is: the attributes that stay the same from scene to scene."""

from __future__ import annotations

from dataclasses import dataclass

from psearch.data.synthetic.draws import IDENTITY, PALETTE, Colour, Draws

SIBLINGS = 4
"""Identities of one family share their base garment colours; the rest decides."""

CLOTH: tuple[Colour, ...] = (
    (44, 48, 58), (112, 114, 116), (206, 202, 194), (48, 74, 122), (136, 52, 50), (172, 142, 104),
    (76, 96, 66),
)  # fmt: skip
BRIGHT: tuple[Colour, ...] = (
    (236, 234, 228), (34, 36, 42), (206, 62, 54), (226, 184, 66), (58, 108, 190), (78, 150, 92),
)  # fmt: skip
SKIN: tuple[Colour, ...] = ((232, 190, 164), (214, 166, 134), (186, 134, 100), (138, 92, 66), (92, 62, 48))
HAIR: tuple[Colour, ...] = (
    (28, 24, 24), (62, 42, 32), (112, 74, 46), (196, 158, 92), (156, 72, 40), (176, 174, 172),
)  # fmt: skip

UPPERS = ("tshirt", "shirt", "hoodie", "jacket", "coat", "vest", "dress")
LOWERS = ("trousers", "trousers", "shorts", "skirt", "long_skirt")
PATTERNS = ("plain", "plain", "bands", "columns", "checks", "dots", "block", "emblem", "back_print", "sash")
HAIRCUTS = ("short", "short", "long", "ponytail", "bun", "full", "bald")
HATS = ("none", "none", "none", "none", "cap", "beanie", "brim")
BAGS = ("none", "none", "backpack", "backpack", "shoulder", "handbag", "trolley")


@dataclass(frozen=True)
class Identity:
    """All that tells one person from another. Lengths are shares of the body height."""

    upper: str
    upper_colour: Colour
    upper_pattern: str
    upper_second: Colour
    lower: str
    lower_colour: Colour
    lower_stripe: bool
    lower_second: Colour
    skin: Colour
    haircut: str
    hair: Colour
    hat: str
    hat_colour: Colour
    bag: str
    bag_colour: Colour
    shoes: Colour
    boots: bool
    scarf: bool
    scarf_colour: Colour
    shoulder: float
    hip: float
    leg: float
    stature: float


@dataclass(frozen=True)
class Palette:
    """The colours that the siblings of a family have in common."""

    upper: Colour
    lower: Colour
    accents: tuple[Colour, Colour]
    shoes: Colour


def draw_palette(draws: Draws) -> Palette:
    """Two garment colours and two accents that can be told from the upper one at 64 pixels of body height."""
    upper, lower = draws.tint(draws.pick(CLOTH), 7), draws.tint(draws.pick(CLOTH), 7)
    far = [c for c in BRIGHT if sum(abs(a - b) for a, b in zip(c, upper, strict=True)) > 150]
    return Palette(upper, lower, (draws.pick(far), draws.pick(far)), draws.tint(draws.pick(CLOTH), 8))


def draw_identity(draws: Draws, palette: Palette) -> Identity:
    """A person in the colours of a palette: garments, patterns, hair and what is carried decide."""
    return Identity(
        upper=draws.pick(UPPERS),
        upper_colour=palette.upper,
        upper_pattern=draws.pick(PATTERNS),
        upper_second=draws.pick(palette.accents),
        lower=draws.pick(LOWERS),
        lower_colour=palette.lower,
        lower_stripe=draws.chance(0.25),
        lower_second=draws.pick(palette.accents),
        skin=draws.tint(draws.pick(SKIN), 6),
        haircut=draws.pick(HAIRCUTS),
        hair=draws.tint(draws.pick(HAIR), 6),
        hat=draws.pick(HATS),
        hat_colour=draws.pick(palette.accents),
        bag=draws.pick(BAGS),
        bag_colour=draws.pick(palette.accents),
        shoes=palette.shoes,
        boots=draws.chance(0.25),
        scarf=draws.chance(0.2),
        scarf_colour=draws.pick(palette.accents),
        shoulder=draws.between(0.098, 0.140),
        hip=draws.between(0.075, 0.115),
        leg=draws.between(0.455, 0.515),
        stature=draws.between(0.92, 1.06),
    )


def draw_stranger(draws: Draws) -> Identity:
    """A person nobody has named."""
    return draw_identity(draws, draw_palette(draws))


def numbered_identity(seed: int, split: int, number: int) -> Identity:
    """Identity `number` of a split, whatever else is in it."""
    palette = draw_palette(Draws(seed, PALETTE, split, number // SIBLINGS))
    return draw_identity(Draws(seed, IDENTITY, split, number), palette)
