"""Searches as plain data: the query, its ranked results, and which of them are right."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest

Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class Result:
    """One detection of a ranked list. scene: index into the split. box: xyxy, original pixels.
    correct: it is the one true positive of its gallery scene under the search protocol."""

    scene: int
    box: Box
    similarity: float
    correct: bool


@dataclass(frozen=True)
class RankedSearch:
    """One query and its answers, most similar first: gallery detections with score >= threshold.

    query: index into the protocol's queries (and into per_query). scene, box: where the query person is.
    """

    query: int
    scene: int
    box: Box
    ranked: tuple[Result, ...]


def spaced(queries: Sequence[int], count: int) -> list[int]:
    """`count` queries evenly spaced in protocol order: examples nobody picked by their result."""
    if len(queries) <= count:
        return list(queries)
    return [queries[index * len(queries) // count] for index in range(count)]


def most_changed(before: Sequence[float | None], after: Sequence[float | None], count: int) -> list[int]:
    """The `count` queries that won most AP and the `count` that lost most, in turn, biggest change first;
    without those that were skipped (None)."""
    pairs = enumerate(zip(before, after, strict=False))
    changes = [(b - a, index) for index, (b, a) in pairs if a is not None and b is not None]
    order = sorted(changes)  # as the page sorts them, ties included: it asks for these pictures
    better = [index for change, index in order[:count] if change < 0]
    worse = [index for change, index in order[::-1][:count] if change > 0]
    alternating = zip_longest(better, worse)
    return [query for pair in alternating for query in pair if query is not None]
