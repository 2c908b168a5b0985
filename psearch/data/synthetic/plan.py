"""Who appears in which scene, and which searches are asked of a split."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np

from psearch.data.synthetic.draws import CAST, GALLERY, QUERIES, Draws
from psearch.types import UNLABELLED, Query, Scene

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
