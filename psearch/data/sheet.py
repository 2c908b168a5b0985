"""A sheet of scenes with their boxes drawn, for a person to look at before trusting a data set."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from psearch.types import Benchmark, Split

TILE = (300, 400)
COLOURS = {"labelled": "lime", "unlabelled": "yellow", "ignored": "grey", "query": "red"}


def picture_sheet(benchmark: Benchmark, file: Path, *, columns: int = 4, rows: int = 4) -> None:
    """Writes a PNG of scenes spread evenly over training (upper half) and test split (lower half).

    Boxes: labelled people green with their identity, unlabelled yellow, ignored grey, queries red.
    """
    height, width = TILE
    sheet = Image.new("RGB", (columns * width, rows * height), "white")
    for row in range(rows):
        split = benchmark.train if row < rows // 2 else benchmark.test
        half, place = rows // 2, row % (rows // 2)
        spread = np.linspace(0, len(split.scenes) - 1, half * columns).round().astype(int)
        for column, index in enumerate(spread[place * columns : (place + 1) * columns].tolist()):
            sheet.paste(_tile(split, index), (column * width, row * height))
    file.parent.mkdir(parents=True, exist_ok=True)
    sheet.save(file)


def _tile(split: Split, index: int) -> Image.Image:
    scene, (height, width) = split.scenes[index], TILE
    scale = min((height - 16) / scene.height, (width - 4) / scene.width)
    size = max(1, round(scene.width * scale)), max(1, round(scene.height * scale))
    tile = Image.new("RGB", (width, height), "white")
    tile.paste(Image.fromarray(split.read(index)).resize(size), (2, 14))
    draw = ImageDraw.Draw(tile)
    draw.text((2, 1), f"{split.name}: {scene.name}", fill="black")
    for box, identity, ignored in zip(scene.boxes, scene.ids.tolist(), scene.ignore, strict=True):
        kind = "ignored" if ignored else "labelled" if identity >= 0 else "unlabelled"
        corners = (box * scale + [2, 14, 2, 14]).tolist()
        draw.rectangle(corners, outline=COLOURS[kind], width=2)
        if kind == "labelled":
            draw.text((corners[0] + 3, corners[1] + 2), str(identity), fill=COLOURS[kind])
    for query in split.queries:
        if query.scene == index:
            draw.rectangle((query.box * scale + [0, 12, 4, 16]).tolist(), outline=COLOURS["query"])
    return tile
