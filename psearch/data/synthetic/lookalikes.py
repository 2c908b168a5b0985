"""Things on the street that look like people and are none."""

from __future__ import annotations

from PIL import Image

from psearch.data.synthetic.draws import Draws, scaled
from psearch.data.synthetic.identity import BRIGHT, draw_stranger
from psearch.data.synthetic.person import draw_person, draw_pose
from psearch.data.synthetic.thing import METAL, STONE, Maker, Thing


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
