"""Random draws that are the same on every machine: PCG64 keyed by what is drawn, and only `random()`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TypeVar

import numpy as np

IDENTITY, PALETTE, CAMERA, SCENE, CAST, QUERIES, GALLERY = range(1, 8)
"""What is drawn: the second number of a key, so that no two kinds of draws share a stream."""

Item = TypeVar("Item")
Colour = tuple[int, int, int]


class Draws:
    """A stream of choices that is a function of its key alone, for example (seed, split, index)."""

    def __init__(self, *key: int) -> None:
        self.generator = np.random.Generator(np.random.PCG64(np.random.SeedSequence(key)))

    def between(self, low: float, high: float) -> float:
        """Uniform in [low, high)."""
        return low + (high - low) * self.generator.random()

    def below(self, count: int) -> int:
        """A whole number in 0..count-1."""
        return int(self.generator.random() * count)

    def pick(self, items: Sequence[Item]) -> Item:
        """One of the items; list an item twice to see it twice as often."""
        return items[self.below(len(items))]

    def chance(self, probability: float) -> bool:
        """True with that probability."""
        return self.generator.random() < probability

    def tint(self, colour: Colour, spread: float) -> Colour:
        """The colour, each channel moved by up to `spread` levels."""
        red, green, blue = (level(part + self.between(-spread, spread)) for part in colour)
        return red, green, blue

    def shuffled(self, count: int) -> list[int]:
        """0..count-1 in random order."""
        keys = self.generator.random(count)
        return [int(i) for i in np.argsort(keys, kind="stable")]


def level(value: float) -> int:
    """A colour level: rounded and kept in 0..255."""
    return min(255, max(0, round(value)))


def scaled(colour: Colour, factor: float) -> Colour:
    """The colour in more or less light."""
    red, green, blue = (level(part * factor) for part in colour)
    return red, green, blue


def mixed(one: Colour, other: Colour, share: float) -> Colour:
    """`one` with a share of `other`."""
    red, green, blue = (level(a + (b - a) * share) for a, b in zip(one, other, strict=True))
    return red, green, blue


def turn(share: float) -> tuple[float, float]:
    """Cosine and sine of a share of a full turn, rounded so that every C library agrees."""
    angle = 2 * math.pi * share
    return round(math.cos(angle), 6), round(math.sin(angle), 6)
