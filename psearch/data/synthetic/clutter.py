"""Things on the street that look like people and are none."""

from __future__ import annotations

from PIL import Image

from psearch.data.synthetic.appearance import BRIGHT, CLOTH, draw_stranger
from psearch.data.synthetic.draws import Colour, Draws, mixed, scaled
from psearch.data.synthetic.figure import METAL, STONE, Maker, Thing
from psearch.data.synthetic.person import draw_person, draw_pose


def bollard(draws: Draws, scale: float, light: float) -> Thing:
    """A bollard or a hydrant: a round head on a body, like a distant person."""
    thing, colour = Thing(0.7, 1.3, scale, light), draws.tint(draws.pick(METAL + STONE + BRIGHT), 10)
    half = draws.between(0.1, 0.17)
    thing.post(0, half, 0, 0.85, colour)
    thing.disc(0, 0.97, half * 1.1, half * 1.1, scaled(colour, 1.15))
    thing.slab(-half, half, 0.6, 0.7, (206, 202, 190))
    return thing


def statue(draws: Draws, scale: float, light: float) -> Thing:
    """A person of stone on a plinth: not a person."""
    thing, who = Thing(1.9, 2.9, scale, light), draw_stranger(draws)
    image, middle, floor = draw_person(who, draw_pose(draws), 1.55 * scale, light)
    stone, base = draws.tint(draws.pick(STONE), 12), draws.between(0.35, 0.75)
    grey = image.convert("L").point([min(255, 90 + value // 3) for value in range(256)])
    tinted = Image.merge("RGB", [grey.point([value * part // 200 for value in range(256)]) for part in stone])
    x, y = thing.at(0, base)
    thing.image.paste(tinted, (x - middle, y - floor), image.getchannel("A"))
    thing.slab(-0.42, 0.42, 0, base, scaled(stone, 0.85))
    thing.slab(-0.48, 0.48, base - 0.08, base, stone)
    return thing


def dummy(draws: Draws, scale: float, light: float) -> Thing:
    """A headless shop dummy on a stand, in clothes as people wear them."""
    thing, who = Thing(1.9, 2.0, scale, light), draw_stranger(draws)
    image, middle, floor = draw_person(who, draw_pose(draws), 1.7 * scale, light)
    neck, knee = (floor - round(share * 1.7 * scale) for share in (0.85, 0.33))
    x, y = thing.at(0, 0)
    thing.post(0, 0.03, 0, 1.45, (150, 146, 138))
    thing.disc(0, 0.03, 0.26, 0.06, (92, 90, 88))
    trunk = image.crop((0, neck, image.width, knee))
    thing.image.paste(trunk, (x - middle, y - floor + neck), trunk)
    return thing


def poster(draws: Draws, scale: float, light: float) -> Thing:
    """A framed advertisement that shows a person: not a person either."""
    thing, who = Thing(1.5, 2.5, scale, light), draw_stranger(draws)
    paper = draws.tint(draws.pick(BRIGHT), 12)
    thing.slab(-0.66, 0.66, 0, 2.4, (70, 72, 76))
    thing.slab(-0.58, 0.58, 0.3, 2.32, paper)
    image, middle, floor = draw_person(who, draw_pose(draws), draws.between(1.7, 2.4) * scale, light)
    left, top = thing.at(-0.58, 2.32)
    right, bottom = thing.at(0.58, 0.62)
    page = thing.image.crop((left, top, right, bottom))
    page.paste(image, (page.width // 2 - middle, round(0.12 * scale)), image)
    thing.image.paste(page, (left, top))
    thing.slab(-0.4, 0.4, 0.42, 0.52, scaled(paper, 0.5))
    return thing


LOOKALIKES: tuple[Maker, ...] = (statue, dummy, dummy, poster, poster, bollard, bollard)


LACQUER: tuple[Colour, ...] = (
    (150, 152, 156), (60, 64, 72), (196, 198, 198), (118, 36, 38), (44, 70, 108), (72, 92, 78),
    (170, 150, 110),
)  # fmt: skip
LEAVES: tuple[Colour, ...] = ((74, 98, 58), (92, 110, 62), (58, 84, 62), (122, 108, 58))


def lamp(draws: Draws, scale: float, light: float) -> Thing:
    """A lamp post."""
    thing, colour = Thing(1.6, 4.6, scale, light), draws.pick(METAL)
    thing.post(0, 0.05, 0, 4.4, colour)
    thing.post(0, 0.09, 0, 0.9, colour)
    thing.slab(0, 0.7 * light, 4.3, 4.4, colour)
    thing.disc(0.7 * light, 4.28, 0.2, 0.1, (222, 218, 200))
    return thing


def sign(draws: Draws, scale: float, light: float) -> Thing:
    """A traffic sign."""
    thing, colour = Thing(0.9, 2.9, scale, light), draws.pick(BRIGHT)
    thing.post(0, 0.035, 0, 2.3, (128, 130, 132))
    if draws.chance(0.5):
        thing.disc(0, 2.45, 0.34, 0.34, colour)
        thing.disc(0, 2.45, 0.22, 0.22, (228, 226, 220))
    else:
        thing.slab(-0.36, 0.36, 2.1, 2.7, colour)
        thing.slab(-0.26, 0.26, 2.3, 2.5, (228, 226, 220))
    return thing


def tree(draws: Draws, scale: float, light: float) -> Thing:
    """A trunk and a crown of leaf balls."""
    thing, leaves = Thing(4.4, 6.4, scale, light), draws.tint(draws.pick(LEAVES), 10)
    thing.post(0, draws.between(0.08, 0.16), 0, 3.2, (92, 76, 60))
    blobs = [(draws.between(-1.2, 1.2), draws.between(2.7, 5.2), draws.between(0.5, 0.95)) for _ in range(14)]
    for tone, shift, share in ((0.72, 0.0, 1.0), (1.0, 0.14, 0.8), (1.2, 0.28, 0.4)):
        for x, y, radius in blobs:
            thing.disc(x + shift * light, y + shift, radius * share, radius * share, scaled(leaves, tone))
    return thing


def car(draws: Draws, scale: float, light: float) -> Thing:
    """A car seen from the side or from behind."""
    colour = draws.tint(draws.pick(LACQUER), 8)
    glass, rubber = (70, 84, 96), (34, 34, 36)
    if draws.chance(0.3):
        thing = Thing(2.2, 1.6, scale, light)
        thing.slab(-0.8, -0.5, 0, 0.4, rubber)
        thing.slab(0.5, 0.8, 0, 0.4, rubber)
        thing.shape(
            [(-0.88, 0.25), (0.88, 0.25), (0.88, 0.85), (0.66, 1.45), (-0.66, 1.45), (-0.88, 0.85)], colour
        )
        thing.shape([(-0.72, 0.9), (0.72, 0.9), (0.56, 1.36), (-0.56, 1.36)], glass)
        thing.slab(-0.88, 0.88, 0.25, 0.42, scaled(colour, 0.6))
        for side in (-1, 1):
            thing.disc(side * 0.7, 0.68, 0.12, 0.08, (188, 64, 52))
        return thing
    way = draws.pick((-1, 1))
    thing = Thing(4.6, 1.6, scale, light)
    body = [
        (-2.1, 0.3),
        (2.1, 0.3),
        (2.1, 0.75),
        (1.2, 0.92),
        (0.6, 1.42),
        (-1.0, 1.42),
        (-1.7, 0.92),
        (-2.1, 0.85),
    ]
    panes = [(-1.5, 0.92), (0.95, 0.92), (0.5, 1.34), (-0.92, 1.34)]
    thing.shape([(x * way, y) for x, y in body], colour)
    thing.slab(-2.1, 2.1, 0.3, 0.5, scaled(colour, 0.68))
    thing.slab(-2.0, 2.0, 0.78, 0.86, scaled(colour, 1.18))
    thing.shape([(x * way, y) for x, y in panes], glass)
    thing.slab(-0.28 * way, -0.2 * way, 0.9, 1.38, colour)
    for x in (-1.3, 1.3):
        thing.disc(x, 0.32, 0.34, 0.34, rubber)
        thing.disc(x, 0.32, 0.18, 0.18, (150, 152, 154))
    return thing


def bin_(draws: Draws, scale: float, light: float) -> Thing:
    """A litter bin."""
    thing, colour = Thing(0.8, 1.2, scale, light), draws.tint(draws.pick(METAL + LACQUER), 10)
    half = draws.between(0.2, 0.32)
    thing.post(0, half, 0.05, 0.95, colour)
    thing.disc(0, 0.95, half * 1.1, 0.1, scaled(colour, 0.6))
    if draws.chance(0.5):
        thing.slab(-half, half, 0.45, 0.6, draws.pick(BRIGHT))
    return thing


def planter(draws: Draws, scale: float, light: float) -> Thing:
    """A tub with a shrub."""
    thing, leaves = Thing(1.8, 1.6, scale, light), draws.tint(draws.pick(LEAVES), 12)
    wide = draws.between(0.35, 0.7)
    for _ in range(7):
        x, y = draws.between(-wide, wide), draws.between(0.6, 1.1)
        thing.disc(x, y, 0.24, 0.24, scaled(leaves, draws.between(0.7, 1.2)))
    thing.slab(-wide, wide, 0, 0.55, draws.tint(draws.pick(STONE), 10))
    return thing


def bench(draws: Draws, scale: float, light: float) -> Thing:
    """A bench that one looks through."""
    thing, wood = Thing(2.2, 1.0, scale, light), (122, 88, 58)
    for x in (-0.8, 0.8):
        thing.slab(x - 0.05, x + 0.05, 0, 0.85, (60, 60, 62))
    for low in (0.38, 0.58, 0.74):
        thing.slab(-0.95, 0.95, low, low + 0.1, scaled(wood, draws.between(0.85, 1.1)))
    return thing


def booth(draws: Draws, scale: float, light: float) -> Thing:
    """A parasol, a kiosk or an advertising column in garment colours."""
    colour, second = draws.tint(draws.pick(CLOTH), 8), draws.pick(BRIGHT)
    thing = Thing(2.6, 2.7, scale, light)
    if draws.chance(0.5):
        thing.post(0, 0.03, 0, 2.2, (130, 126, 120))
        thing.shape([(-1.2, 1.9), (1.2, 1.9), (0, 2.5)], colour)
        thing.shape([(-0.5, 1.9), (0.3, 1.9), (0, 2.5)], second)
        return thing
    thing.post(0, 0.42, 0, 2.2, colour)
    thing.slab(-0.3, 0.2, 0.9, 1.7, second)
    thing.slab(-0.22, 0.12, 1.1, 1.5, mixed(second, (240, 238, 230), 0.6))
    thing.disc(0, 2.25, 0.5, 0.16, scaled(colour, 0.6))
    return thing


OBSTACLES: tuple[Maker, ...] = (lamp, sign, tree, bin_, bin_, bollard, bollard, planter, bench, booth)
