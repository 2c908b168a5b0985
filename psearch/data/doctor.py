"""Looks a data set over before a GPU is held: what is missing, damaged, contradictory or merely odd."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from psearch.data.checks import (
    COUNTS,
    Findings,
    check_boxes,
    check_identities,
    check_pictures,
    check_queries,
    counts,
    listed,
)
from psearch.types import Benchmark, Split


@dataclass(frozen=True)
class Examination:
    """A data set and what was found. benchmark: None where it could not be read at all."""

    benchmark: Benchmark | None
    findings: Findings

    def __str__(self) -> str:
        lines = []
        if self.benchmark is not None:
            lines += [f"{self.benchmark.name}, fingerprint {self.benchmark.fingerprint}"]
            lines += [f"  {number:7,} {what}" for what, number in counts(self.benchmark).items()]
        lines += [f"note: {line}" for line in self.findings.notes]
        lines += [f"problem: {line}" for line in self.findings.problems]
        return "\n".join(lines)


def examine(build: Callable[[], Benchmark], *, decode: bool = False, published: bool = True) -> Examination:
    """Reads a data set and checks pictures, boxes, identities, queries and galleries.

    build: reads the data set from its original files. decode: decode every picture instead of looking at
    headers and ends only. published: compare counts with the published ones, where there are any.
    """
    findings = Findings()
    try:
        with _listening(findings):
            benchmark = build()
    except ValueError as error:
        findings.problems.append(str(error))
        return Examination(None, findings)
    for split in filter(None, (benchmark.train, benchmark.val, benchmark.test)):
        check_pictures(split, findings, decode=decode)
        check_boxes(split, findings)
        check_queries(split, findings)
    check_identities(benchmark, findings)
    if published:
        findings.problems.extend(_differences(benchmark))
    return Examination(benchmark, findings)


def _differences(benchmark: Benchmark) -> Iterator[str]:
    found = counts(benchmark)
    for what, expected in COUNTS.get(benchmark.name, {}).items():
        if found[what] != expected:
            yield f"{found[what]} {what}, but {expected} are published; compare with the original files"


class _Listener(logging.Handler):
    """Keeps what readers log: warnings as they are, repairs by their text."""

    def __init__(self, findings: Findings) -> None:
        super().__init__()
        self.findings, self.repairs = findings, defaultdict[str, list[object]](list)

    def emit(self, record: logging.LogRecord) -> None:
        if record.levelno >= logging.WARNING:
            self.findings.problems.append(record.getMessage())
        elif isinstance(record.args, tuple):
            self.repairs[record.msg].append(record.args[-1])


@contextmanager
def _listening(findings: Findings) -> Iterator[None]:
    """Collects what readers log: warnings as problems, repairs as notes, one line per kind."""
    logger, listener = logging.getLogger("psearch.data"), _Listener(findings)
    before = logger.level, logger.propagate
    logger.setLevel(logging.DEBUG)
    logger.propagate = False
    logger.addHandler(listener)
    try:
        yield
    finally:
        logger.removeHandler(listener)
        logger.setLevel(before[0])
        logger.propagate = before[1]
        findings.notes.extend(
            listed(text.removesuffix(": %s"), names) for text, names in listener.repairs.items()
        )


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
