"""The same searches in other galleries: larger, smaller, or for some of the queries only."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from psearch.evaluation.overlap import Integers
from psearch.types import Query, Scene


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


def asked(queries: Sequence[Query], galleries: Mapping[str, Sequence[Query]]) -> list[Query]:
    """The queries, followed by those of further galleries that are not among them: who must be described."""
    known = {_key(query): query for wanted in galleries.values() for query in wanted}
    for query in queries:
        known.pop(_key(query), None)
    return [*queries, *known.values()]


def rows_among(queries: Sequence[Query], wanted: Sequence[Query]) -> list[int]:
    """For each wanted query its index among `queries`: same scene, identity and box; asked for again, the
    next such one, as long as there are more.

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
            "is not among the split's queries, so nothing describes it"
        )
    return rows.pop(0) if len(rows) > 1 else rows[0]


def _key(query: Query) -> tuple[int, int, bytes]:
    return query.scene, query.identity, np.asarray(query.box, np.float32).tobytes()
