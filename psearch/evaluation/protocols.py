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

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from psearch.evaluation.boxes import Integers
from psearch.types import Query, Scene


@dataclass(frozen=True, kw_only=True)
class Protocol:
    """Rules of one search.

    score_threshold: only detections with at least this score are ranked.
    own_scene: the scene the query was cut from stays in a gallery that lists it.
    count_repeats: a scene listed twice is ranked once, but its person counts twice among those to find.
    first_box_only: of a person boxed twice in one scene only the first box is right; else either is.
    other_cameras: scenes of the query's own camera leave the gallery.
    """

    name: str
    score_threshold: float = 0.5
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


def cut(scenes: Sequence[Scene], queries: Sequence[Query], size: int) -> list[Query]:
    """Galleries of `size` scenes: those that hold the person first, then others, both in protocol order.

    ValueError if a gallery is smaller than that, or holds the person in more scenes.
    """
    shown = defaultdict[int, list[int]](list)
    for index, scene in enumerate(scenes):
        for identity in scene.ids.tolist():
            shown[identity].append(index)
    holds = [np.isin(query.gallery, shown[query.identity]) for query in queries]
    fewest, most = max(each.sum() for each in holds), min(len(each) for each in holds)
    if not fewest <= size <= most:
        raise ValueError(
            f"galleries cannot be cut to {size} scenes: the smallest has {most}, and some query's person is "
            f"in {fewest} of them; choose a size in between"
        )
    return [
        replace(query, gallery=query.gallery[np.argsort(~each, kind="stable")[:size]])
        for query, each in zip(queries, holds, strict=True)
    ]


def whole(scenes: Sequence[Scene], queries: Sequence[Query]) -> list[Query]:
    """Galleries of all scenes: first those of the protocol, then every other but the query's own.

    This is what CUHK-SYSU calls gallery size -1 (Caffe evaluator `psdb`, NAE), given its smallest galleries.
    """
    every = np.arange(len(scenes))
    return [
        replace(query, gallery=np.concatenate([query.gallery, _others(every, query)])) for query in queries
    ]


def _others(every: Integers, query: Query) -> Integers:
    fresh = np.ones(len(every), dtype=bool)
    fresh[query.gallery] = False
    fresh[query.scene] = False
    return every[fresh]


def queries_to_embed(queries: Sequence[Query], galleries: Mapping[str, Sequence[Query]]) -> list[Query]:
    """The queries, followed by those of further galleries that are not among them."""
    known = {_key(query): query for wanted in galleries.values() for query in wanted}
    for query in queries:
        known.pop(_key(query), None)
    return [*queries, *known.values()]


def rows_among(queries: Sequence[Query], wanted: Sequence[Query]) -> list[int]:
    """For each wanted query its index among `queries`: same scene, identity and box; for a repeated one, the
    next such, as long as there are more.

    ValueError if one is not there: its embedding is unknown.
    """
    rows: dict[tuple[int, int, bytes], list[int]] = {}
    for row, query in enumerate(queries):
        rows.setdefault(_key(query), []).append(row)
    return [_next(rows.get(_key(query), []), index, query) for index, query in enumerate(wanted)]


def _next(rows: list[int], index: int, query: Query) -> int:
    if not rows:
        raise ValueError(
            f"query {index} of a further gallery (scene {query.scene}, identity {query.identity}) "
            "is not among the split's queries, so it has no embedding"
        )
    return rows.pop(0) if len(rows) > 1 else rows[0]


def _key(query: Query) -> tuple[int, int, bytes]:
    return query.scene, query.identity, np.asarray(query.box, np.float32).tobytes()
