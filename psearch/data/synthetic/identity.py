"""Who a person is: the attributes that stay the same from scene to scene."""

from __future__ import annotations

from dataclasses import dataclass

from psearch.data.synthetic.draws import Colour, Draws

SIBLINGS = 4
"""Identities of one family share their base garment colours; the rest decides."""

CLOTH: tuple[Colour, ...] = (
    (38, 42, 52), (62, 66, 74), (118, 120, 122), (196, 194, 188), (232, 228, 220), (34, 52, 92),
    (66, 100, 150), (132, 160, 190), (122, 34, 40), (176, 60, 52), (196, 122, 62), (212, 178, 84),
    (58, 84, 56), (104, 124, 84), (104, 76, 52), (164, 134, 102), (88, 56, 104), (192, 128, 144),
    (40, 104, 108),
)  # fmt: skip
BRIGHT: tuple[Colour, ...] = (
    (236, 234, 228), (30, 32, 38), (204, 52, 48), (228, 186, 60), (52, 104, 190), (70, 150, 84),
    (226, 126, 48), (150, 76, 160), (226, 150, 172), (72, 176, 186),
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


def contrasting(draws: Draws, base: Colour) -> Colour:
    """A bright colour that can be told from the base at 64 pixels of body height."""
    far = [c for c in BRIGHT if sum(abs(a - b) for a, b in zip(c, base, strict=True)) > 170]
    return draws.pick(far)


def draw_identity(draws: Draws, family: Draws) -> Identity:
    """A person whose base garment colours come from `family` and everything else from `draws`."""
    upper_colour = draws.tint(family.pick(CLOTH), 7)
    lower_colour = draws.tint(family.pick(CLOTH), 7)
    return Identity(
        upper=draws.pick(UPPERS),
        upper_colour=upper_colour,
        upper_pattern=draws.pick(PATTERNS),
        upper_second=contrasting(draws, upper_colour),
        lower=draws.pick(LOWERS),
        lower_colour=lower_colour,
        lower_stripe=draws.chance(0.25),
        lower_second=contrasting(draws, lower_colour),
        skin=draws.tint(draws.pick(SKIN), 6),
        haircut=draws.pick(HAIRCUTS),
        hair=draws.tint(draws.pick(HAIR), 6),
        hat=draws.pick(HATS),
        hat_colour=draws.tint(draws.pick(BRIGHT), 8),
        bag=draws.pick(BAGS),
        bag_colour=draws.tint(draws.pick(BRIGHT), 8),
        shoes=draws.tint(draws.pick(BRIGHT), 8),
        boots=draws.chance(0.25),
        scarf=draws.chance(0.2),
        scarf_colour=draws.tint(draws.pick(BRIGHT), 8),
        shoulder=draws.between(0.098, 0.140),
        hip=draws.between(0.075, 0.115),
        leg=draws.between(0.455, 0.515),
        stature=draws.between(0.92, 1.06),
    )


def numbered_identity(seed: int, split: int, number: int) -> Identity:
    """Identity `number` of a split, whatever else is in it."""
    return draw_identity(Draws(seed, 1, split, number), Draws(seed, 2, split, number // SIBLINGS))
