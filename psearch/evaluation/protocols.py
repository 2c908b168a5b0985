"""What a search protocol decides, as plain facts an evaluator reads.

`strict` does what the protocol's text says; `legacy` what the published evaluators do (SeqNet's, from which
most others descend), so that numbers can be laid beside published ones. Case by case:

| case                                        | legacy                         | strict                     |
|---------------------------------------------|--------------------------------|----------------------------|
| gallery lists a scene twice (CUHK: 4        | ranked once, but its person    | a scene is there or not:   |
| queries of gallery 100)                     | counts twice among those to    | ranked once, counted once  |
|                                             | find, so AP stays below 1      |                            |
| gallery lists the query's own scene (CUHK:  | stays, and is found at once    | leaves the gallery         |
| 2 queries)                                  |                                |                            |
| person boxed twice in a scene (PRW: 3       | only the first box is right    | either box is right, once  |
| frames; CUHK: 3 of the 4 queries above)     |                                |                            |

In both: detections with score >= 0.5 are ranked; in a scene the most similar overlapping detection is right;
equal similarities are one threshold for AP; for top-k a wrong answer precedes an equally similar right one
(published code leaves that order to an unstable sort); no detection at all is AP 0 and a query whose gallery
lacks its person is skipped and listed (published code crashes or divides by zero on either).
"""

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

LEGACY = Protocol(name="legacy", own_scene=True, count_repeats=True, first_box_only=True)
"""What the published evaluators compute."""

OTHER_CAMERAS = Protocol(name="other_cameras", other_cameras=True)
"""Strict, among the scenes of other cameras only (PRW; `ignore_cam_id=False` of the published evaluators)."""

PROTOCOLS = {protocol.name: protocol for protocol in (STRICT, LEGACY, OTHER_CAMERAS)}


def named(name: str) -> Protocol:
    """The protocol of that name; ValueError lists those there are."""
    if name not in PROTOCOLS:
        raise ValueError(f"no protocol {name!r}: choose one of {', '.join(sorted(PROTOCOLS))}")
    return PROTOCOLS[name]
