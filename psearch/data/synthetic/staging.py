"""Where people and things stand: cut-outs on the ground of a view."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
from PIL import Image, ImageDraw

from psearch.data.synthetic.appearance import Identity
from psearch.data.synthetic.clutter import LOOKALIKES, OBSTACLES, car
from psearch.data.synthetic.draws import CAST, GALLERY, QUERIES, Draws
from psearch.data.synthetic.lens import BODY, View
from psearch.data.synthetic.person import draw_person, draw_pose
from psearch.types import UNLABELLED, Query, Scene

HEIGHTS = (0.26, 0.33, 0.42, 0.50, 0.60, 0.75, 0.82)
"""Body heights in picture heights at the quantiles below."""
QUANTILES = (0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0)


@dataclass(frozen=True, eq=False)
class Sprite:
    """A cut-out and where it stands: the column and row of its foot on the canvas, and in the cut-out."""

    image: Image.Image
    foot: tuple[int, int]
    anchor: tuple[int, int]
    tall: float
    identity: int | None = None

    @property
    def corner(self) -> tuple[int, int]:
        """Where its upper left corner lies on the canvas."""
        return self.foot[0] - self.anchor[0], self.foot[1] - self.anchor[1]


def place_people(draws: Draws, view: View, light: float, people: list[tuple[int, Identity]]) -> list[Sprite]:
    """People at random distances and places, in the open where possible."""
    sprites: list[Sprite] = []
    taken: list[tuple[float, float]] = []
    for number, who in people:
        body = quantile(draws.generator.random()) * view.height
        row = round(view.horizon + view.eye * body / BODY)
        column = free_column(draws, view, body, taken)
        taken.append((column, body))
        image, middle, floor = draw_person(who, draw_pose(draws), body * who.stature, light)
        shaded = half_in_shade(draws, dimmed(image, draws.between(0.6, 1.08)))
        sprites.append(Sprite(shaded, (column, row), (middle, floor), body, number))
    return sprites


def dimmed(image: Image.Image, factor: float) -> Image.Image:
    """The cut-out in more or less light."""
    table = [min(255, int(value * factor)) for value in range(256)]
    return image.point(table * 3 + list(range(256)))


def half_in_shade(draws: Draws, image: Image.Image) -> Image.Image:
    """Often the edge of a shadow runs across a person: what lies above or below it is darker."""
    if draws.chance(0.5):
        return image
    width, height = image.size
    left, right = (round(draws.between(0.15, 0.95) * height) for _ in range(2))
    end = draws.pick((0, height))
    shade = Image.new("L", image.size)
    ImageDraw.Draw(shade).polygon([(0, left), (width, right), (width, end), (0, end)], fill=255)
    dark = dimmed(image, draws.between(0.4, 0.7))
    return Image.composite(dark, image, shade)


def free_column(draws: Draws, view: View, body: float, taken: list[tuple[float, float]]) -> int:
    """A column for a body of that height, away from the others if one is found quickly."""
    column = 0
    for _ in range(6):
        column = round(draws.between(0.03, 0.97) * view.width)
        if all(abs(column - x) > 0.10 * (body + other) for x, other in taken):
            break
    return column


def quantile(share: float) -> float:
    """The body height, in picture heights, below which that share of people lies."""
    step = max(i for i, low in enumerate(QUANTILES[:-1]) if low <= share)
    part = (share - QUANTILES[step]) / (QUANTILES[step + 1] - QUANTILES[step])
    return HEIGHTS[step] + part * (HEIGHTS[step + 1] - HEIGHTS[step])


def place_things(draws: Draws, view: View, light: float) -> list[Sprite]:
    """Obstacles in front of and behind people, look-alikes, parked cars."""
    makers = [draws.pick(OBSTACLES) for _ in range(3 + draws.below(6))]
    makers += [draws.pick(LOOKALIKES) for _ in range(draws.below(4))]
    makers += [car for _ in range(draws.below(3))]
    sprites = []
    for maker in makers:
        away = draws.between(4.0, 16.0) if maker is car else draws.between(2.4, 9.0)
        scale = view.metre(away)
        thing = maker(draws, scale, light)
        column = round(draws.between(0.0, 1.0) * view.width)
        row = round(view.horizon + view.eye * scale)
        sprites.append(Sprite(thing.image, (column, row), (thing.middle, thing.floor), BODY * scale))
    return sprites


FEWEST, MOST = 2, 4
"""Labelled people in a scene."""


@dataclass(frozen=True)
class Plan:
    """One split before it is drawn. number: its place in the order train, val, test.

    first: the number of its first identity, so that no identity number is used in two splits.
    """

    name: str
    number: int
    scenes: int
    identities: int
    first: int

    def cast(self, seed: int) -> list[list[int]]:
        """The labelled identities of each scene, counted from 0 within the split.

        All identities appear before one appears again, and none twice in a scene; the cast of a scene
        does not depend on how many scenes follow it.
        """
        draws, pool, casts = Draws(seed, CAST, self.number), list[int](), []
        for _ in range(self.scenes):
            chosen: list[int] = []
            for _ in range(FEWEST + draws.below(MOST - FEWEST + 1)):
                if all(number in chosen for number in pool):
                    pool += draws.shuffled(self.identities)
                following = next(number for number in pool if number not in chosen)
                pool.remove(following)
                chosen.append(following)
            casts.append(chosen)
        return casts


def check(plan: Plan) -> None:
    """Raises `ValueError` where a split is too small to hold its people."""
    if plan.identities < MOST:
        raise ValueError(f"{plan.name}_identities={plan.identities}: a scene needs at least {MOST}.")
    if plan.scenes * FEWEST < plan.identities:
        raise ValueError(
            f"{plan.name}_scenes={plan.scenes} cannot show all of {plan.name}_identities={plan.identities}:"
            f" ask for at least {-(-plan.identities // FEWEST)} scenes or fewer identities."
        )


def draw_queries(
    scenes: Sequence[Scene],
    plan: Plan,
    visible: Sequence[np.ndarray],
    gallery_size: int | str,
    *,
    seed: int,
    queries: int,
) -> list[Query]:
    """At most `queries` searches, spread over the identities, for people at least half visible.

    A gallery holds every other scene that shows the person, then scenes in random order that do not; a
    smaller gallery is the beginning of a larger one. Scenes where the person is hidden are in none.
    gallery_size -1: all scenes but the query's own and those where the person is hidden. Raises `ValueError`
    for galleries that cannot be had.
    """
    if not isinstance(gallery_size, int):
        raise ValueError(f"There are no galleries {gallery_size!r} here: give a number of scenes, or -1.")
    casts = [{number + plan.first for number in cast} for cast in plan.cast(seed)]
    shown = [set(scene.ids[scene.ids != UNLABELLED].tolist()) for scene in scenes]
    appearances = Counter(chain.from_iterable(shown))
    candidates = [
        (place, row)
        for place, scene in enumerate(scenes)
        for row in np.flatnonzero((scene.ids != UNLABELLED) & (visible[place] >= 0.5)).tolist()
        if appearances[int(scene.ids[row])] > 1
    ]
    drawn = []
    for number in spread(candidates, scenes, Draws(seed, QUERIES, plan.number))[:queries]:
        place, row = candidates[number]
        identity = int(scenes[place].ids[row])
        order = [i for i in Draws(seed, GALLERY, plan.number, number).shuffled(len(scenes)) if i != place]
        positives = [i for i in order if identity in shown[i]]
        negatives = [i for i in order if identity not in casts[i]]
        gallery = gallery_of(positives, negatives, gallery_size)
        drawn.append(Query(place, scenes[place].boxes[row], identity, np.array(gallery, dtype=np.int64)))
    return drawn


def spread(candidates: Sequence[tuple[int, int]], scenes: Sequence[Scene], draws: Draws) -> list[int]:
    """The candidates in random order, but every identity's first before any identity's second."""
    turns: dict[int, int] = {}
    ranked = []
    for number in draws.shuffled(len(candidates)):
        place, row = candidates[number]
        identity = int(scenes[place].ids[row])
        turns[identity] = turns.get(identity, 0) + 1
        ranked.append((turns[identity], number))
    return [number for _, number in sorted(ranked, key=lambda pair: pair[0])]


def gallery_of(positives: list[int], negatives: list[int], size: int) -> list[int]:
    """The scenes with the person first; raises `ValueError` where the size cannot be had."""
    if size == -1:
        return positives + negatives
    if not len(positives) <= size <= len(positives) + len(negatives):
        raise ValueError(
            f"gallery_size={size} cannot be had: a query has {len(positives)} scenes with its person and"
            f" {len(negatives)} without. Choose a size in between, -1 for all, or more scenes."
        )
    return positives + negatives[: size - len(positives)]
