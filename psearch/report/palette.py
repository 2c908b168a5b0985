"""One colour and one marker per distillation mode, the same in every plot of every study."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from zlib import crc32


@dataclass(frozen=True)
class Style:
    """marker: matplotlib's code. colour: at least 2.7 to 1 against white and near-black, and told apart with
    every kind of colour blindness (CIELAB distance 21 or more; found by search)."""

    colour: str
    marker: str


KNOWN = {
    "alone": Style("#7a828c", "o"),
    "identities": Style("#f27c1e", "s"),
    "features": Style("#449ef2", "^"),
    "detector": Style("#7e46ef", "D"),
    "full": Style("#b82416", "P"),
    "objectness": Style("#bf8d68", "v"),
    "regions": Style("#98359c", "X"),
    "teacher": Style("#7a828c", "*"),
    "two-step": Style("#7a828c", "d"),
}
SPARE = [KNOWN[mode] for mode in ("full", "objectness", "regions", "features", "detector", "identities")]


def styles(modes: Iterable[str]) -> dict[str, Style]:
    """Mode -> style; an unknown mode takes a colour by its name, the next free one if it can."""
    wanted = sorted(set(modes))
    taken = {mode: KNOWN[mode] for mode in wanted if mode in KNOWN}
    for mode in wanted:
        if mode not in taken:
            start = crc32(mode.encode()) % len(SPARE)
            turn = SPARE[start:] + SPARE[:start]
            taken[mode] = next((style for style in turn if style not in taken.values()), turn[0])
    return taken
