"""Which searches and scenes the page shows as pictures, and in which order the budget is spent."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np

from psearch.evaluation.detections_file import DETECTIONS, read_detections
from psearch.report.comparison import Comparison
from psearch.report.headline import featured
from psearch.report.image_store import QUERY, ImageStore, Read, frames
from psearch.report.row import Row
from psearch.report.runs import Run
from psearch.report.searches import Box, RankedSearch, most_changed, spaced
from psearch.types import Scene

log = logging.getLogger(__name__)

EXAMPLES, CHANGED, DEPTH, SCENES = 6, 4, 8, 4
Searches = Mapping[str, Sequence[RankedSearch]]


class PagePictures:
    """Collects pictures for the page; rows are named by their place in the comparison.

    Examples and detections come first; what is left of the budget goes to the differences, pair by pair.
    """

    def __init__(self, comparison: Comparison, searches: Searches, read: Read | None) -> None:
        self.rows = comparison.rows
        self.images = ImageStore(read) if read else None
        pictured = {place: _pictured(row, searches) for place, row in enumerate(self.rows)}
        self.pictured = {place: run for place, run in pictured.items() if run}
        self.searches = {
            place: {search.query: search for search in searches[run.name]}
            for place, run in self.pictured.items()
        }
        self.ap = {place: ap for place, row in enumerate(self.rows) if (ap := row.per_query)}
        self.queries: dict[int, dict[str, int | None]] = {}
        self.strips: dict[int, dict[int, dict[str, Any]]] = {}
        self.pair = self._pair(comparison)

    def collect(self, scenes: Sequence[Scene]) -> dict[str, Any]:
        """Everything the scripts of the page need, JSON-ready."""
        examples, detections = self._examples(), self._detections(scenes)
        self._differences()
        return {
            "ap": self.ap,
            "pair": self.pair,
            "seeds": {place: run.seed for place, run in self.pictured.items()},
            "examples": examples,
            "detections": detections,
            "queries": self.queries,
            "strips": self.strips,
            "pictures": self.images.pictures if self.images else [],
        }

    def _pair(self, comparison: Comparison) -> list[int]:
        """The featured distilled student and its baseline; else the first two rows with something to show."""
        if best := featured(comparison):
            return [self.rows.index(row) for row in (best[1].baseline, best[0]) if row]
        known = dict.fromkeys([*self.pictured, *self.ap, *range(len(self.rows))])
        return sorted(known, key=lambda place: self.rows[place].role != "student")[:2]

    def _examples(self) -> list[int]:
        """Queries every pictured row of the pair answered, evenly spaced in protocol order."""
        answered = [set(self.searches[place]) for place in self.pair if place in self.searches]
        chosen = spaced(sorted(set.intersection(*answered)), EXAMPLES) if answered else []
        for query in chosen:
            self._show(query, self.pair)
        return chosen

    def _differences(self) -> None:
        for one, other in self._pairs():
            if self.images is None or self.images.full:
                return
            for query in most_changed(self.ap[one], self.ap[other], CHANGED):
                self._show(query, (one, other))

    def _pairs(self) -> Iterator[tuple[int, int]]:
        """The featured pair, then each row against the first of it, then all others."""
        places = [place for place in self.searches if place in self.ap]
        if set(self.pair) <= set(places) and len(self.pair) == 2:
            yield self.pair[0], self.pair[1]
        if self.pair and self.pair[0] in places:
            yield from ((self.pair[0], place) for place in places if place != self.pair[0])
        yield from combinations(places, 2)

    def _show(self, query: int, places: Sequence[int]) -> None:
        for place in places:
            search = self.searches.get(place, {}).get(query)
            if search is None:
                continue
            if query not in self.queries:
                self.queries[query] = self._query(search)
            if query not in self.strips.setdefault(place, {}):
                self.strips[place][query] = self._strip(search, self.pictured[place])

    def _query(self, search: RankedSearch) -> dict[str, int | None]:
        framed = self.images.scene(search.scene, [(search.box, QUERY)], width=240) if self.images else None
        return {"crop": self._crop(search.scene, search.box), "scene": framed}

    def _crop(self, scene: int, box: Box) -> int | None:
        return self.images.crop(scene, box) if self.images else None

    def _strip(self, search: RankedSearch, run: Run) -> dict[str, Any]:
        ap = run.record.per_query.get("AP", ())
        results = [
            (self._crop(found.scene, found.box), round(found.similarity, 3), found.correct)
            for found in search.ranked[:DEPTH]
        ]
        return {"ap": ap[search.query] if search.query < len(ap) else None, "results": results}

    def _detections(self, scenes: Sequence[Scene]) -> list[dict[str, Any]]:
        """The same few scenes, evenly spaced, for each row of the pair: found and missed people framed."""
        if self.images is None:
            return []
        shown = []
        peopled = [index for index, scene in enumerate(scenes) if len(scene.boxes)]
        chosen = spaced(peopled, SCENES)
        for place in self.pair:
            run = self.pictured.get(place) or self.rows[place].runs[0]
            for index, found in zip(chosen, _detected(run, scenes, chosen), strict=False):
                picture = self.images.scene(index, frames(scenes[index], found))
                shown.append(
                    {"row": place, "seed": run.seed, "scene": scenes[index].name, "picture": picture}
                )
        return shown


def _detected(run: Run, scenes: Sequence[Scene], chosen: Sequence[int]) -> list[np.ndarray]:
    """Boxes (n, 4) of each chosen scene with at least the score that detection was measured at; nothing if
    their file is gone, damaged or of other data."""
    if not chosen:
        return []
    try:
        detections, _ = read_detections(run.directory / DETECTIONS, scenes, queries=None)
    except ValueError as error:
        log.warning("no detections of %s are drawn: %s", run.name, error)
        return []
    score = run.record.protocol.get("score") or 0.0
    return [detections[index].boxes[detections[index].scores >= score] for index in chosen]


def _pictured(row: Row, searches: Searches) -> Run | None:
    """The run that stands for its row in pictures: the first seed whose searches are at hand."""
    return next((run for run in row.runs if searches.get(run.name)), None)
