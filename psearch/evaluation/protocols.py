"""What a search protocol decides, as plain facts an evaluator reads."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Protocol:
    """Rules of one search.

    score: only detections with at least this score are ranked.
    own_scene: the scene the query was cut from stays in a gallery that lists it.
    count_repeats: a scene listed twice is ranked once, but its person counts twice among those to find.
    first_box_only: of a person boxed twice in one scene only the first box is right; else either is.
    other_cameras: scenes of the query's own camera leave the gallery.
    """

    name: str
    score: float = 0.5
    own_scene: bool = False
    count_repeats: bool = False
    first_box_only: bool = False
    other_cameras: bool = False


STRICT = Protocol(name="strict")
"""A gallery is a set of other scenes; a person counts once in each."""

PROTOCOLS = {protocol.name: protocol for protocol in (STRICT,)}


def named(name: str) -> Protocol:
    """The protocol of that name; ValueError lists those there are."""
    if name not in PROTOCOLS:
        raise ValueError(f"no protocol {name!r}: choose one of {', '.join(sorted(PROTOCOLS))}")
    return PROTOCOLS[name]
