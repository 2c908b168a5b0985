"""Example searches of a run as pictures: the query, and its best results."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from psearch.evaluation.result import Ranking
from psearch.report.searches import Box, RankedSearch, Result, spaced
from psearch.tracking.tracker import Frame, Picture
from psearch.types import Split

EXAMPLES, COLUMNS, ROWS = 6, 3, 2
WIDTH, HEIGHT = 360, 270
"""Most pixels of one scene in the picture of a search."""


def ranked_searches(ranking: Ranking, split: Split) -> list[RankedSearch]:
    """The answers of a split's queries as the report draws them."""
    return [
        RankedSearch(
            query=index,
            scene=query.scene,
            box=_box(query.box),
            ranked=tuple(
                Result(int(scene), _box(box), float(similarity), bool(correct))
                for scene, box, similarity, correct in zip(
                    ranking.scenes[index],
                    ranking.boxes[index],
                    ranking.similarities[index],
                    ranking.correct[index],
                    strict=True,
                )
                if scene >= 0
            ),
        )
        for index, query in enumerate(split.queries)
    ]


def example_searches(searches: Sequence[RankedSearch], split: Split, directory: Path) -> list[Picture]:
    """A picture per search, written into `directory`: the query's scene, then those of its best answers in
    reading order. The searches are evenly spaced in protocol order, nobody picked them by their result."""
    directory.mkdir(exist_ok=True)
    return [_picture(searches[index], split, directory) for index in spaced(range(len(searches)), EXAMPLES)]


def _picture(search: RankedSearch, split: Split, directory: Path) -> Picture:
    answers = search.ranked[: COLUMNS * ROWS - 1]
    query = Frame(search.box, "query", "query")
    results = [(a.scene, _judged(a, rank)) for rank, a in enumerate(answers, start=1)]
    scenes = [(search.scene, query), *results]
    sheet = Image.new("RGB", (COLUMNS * WIDTH, ROWS * HEIGHT), "white")
    frames = []
    for place, (scene, frame) in enumerate(scenes):
        tile, scale = _small(split.read(scene))
        left, top = place % COLUMNS * WIDTH, place // COLUMNS * HEIGHT
        sheet.paste(tile, (left, top))
        x1, y1, x2, y2 = (scale * value for value in frame.box)
        box = (left + x1, top + y1, left + x2, top + y2)
        frames.append(Frame(box, frame.label, frame.caption))
    path = directory / f"search-{search.query:04d}.jpg"
    sheet.save(path, quality=85)
    hits = sum(answer.correct for answer in answers)
    return Picture(path, f"search {search.query}: {hits} of the first {len(answers)} right", tuple(frames))


def _judged(answer: Result, rank: int) -> Frame:
    label = "right" if answer.correct else "wrong"
    return Frame(answer.box, label, f"{rank}. {label} {answer.similarity:.2f}")


def _small(pixels: np.ndarray) -> tuple[Image.Image, float]:
    """A scene that fits its place, and the factor it was scaled by."""
    scene = Image.fromarray(np.ascontiguousarray(pixels, dtype=np.uint8))
    scale = min(WIDTH / scene.width, HEIGHT / scene.height)
    return scene.resize((max(1, round(scene.width * scale)), max(1, round(scene.height * scale)))), scale


def _box(values: np.ndarray) -> Box:
    x1, y1, x2, y2 = (float(value) for value in values)
    return x1, y1, x2, y2
