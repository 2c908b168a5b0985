"""One colour and one marker per distillation mode, the same in every plot of every study."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from zlib import crc32


@dataclass(frozen=True)
class Style:
    """colour: readable on white and on near-black, apart for colour-blind eyes. marker: matplotlib's code."""

    colour: str
    marker: str


KNOWN = {
    "alone": Style("#7a828c", "o"),
    "identities": Style("#d9661f", "s"),
    "features": Style("#2b82c9", "^"),
    "detector": Style("#0f9584", "D"),
    "full": Style("#b44fb0", "P"),
    "objectness": Style("#a08a10", "v"),
    "regions": Style("#d23b5e", "X"),
    "teacher": Style("#7a828c", "*"),
    "two_step": Style("#7a828c", "d"),
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
