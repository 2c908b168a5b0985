"""The files of CUHK-SYSU in the layout its authors give them away in, record by record."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from psearch.data.parsed import published_layout, read
from psearch.types import UNLABELLED

log = logging.getLogger(__name__)

Boxes = dict[str, np.ndarray]
"""Picture name -> boxes (n, 4) as x, y, w, h, int64."""

People = dict[str, tuple[np.ndarray, np.ndarray]]
"""Picture name -> those boxes and their ids (n,)."""

Appearance = tuple[str, np.ndarray]
"""Picture name and box (4,) of one person."""


class Search(NamedTuple):
    """One record of a protocol file. appearances: the gallery's pictures that show the person."""

    picture: str
    box: np.ndarray
    gallery: list[str]
    appearances: list[Appearance]


@dataclass(frozen=True)
class Layout:
    """Where the files are. test: the protocol's file below annotation/test."""

    root: Path
    test: str

    @property
    def pictures(self) -> Path:
        """Folder of all pictures."""
        return self.root / "Image" / "SSM"

    @property
    def images(self) -> Path:
        """Img: per picture imname, nbox, box (idlocate: x y w h, ishard)."""
        return self.root / "annotation" / "Images.mat"

    @property
    def pool(self) -> Path:
        """pool: names of the test pictures."""
        return self.root / "annotation" / "pool.mat"

    @property
    def train(self) -> Path:
        """Train: per identity a struct whose third field lists its appearances."""
        return self.root / "annotation" / "test" / "train_test" / "Train.mat"

    @property
    def smallest(self) -> Path:
        """The protocol that names the people of the pool."""
        return self.train.with_name("TestG50.mat")

    @property
    def protocol(self) -> Path:
        """TestG<size>, Occlusion1 or Test_Size: per search Query and Gallery (imname, idlocate, ishard)."""
        return self.root / "annotation" / "test" / self.test

    @property
    def annotations(self) -> list[Path]:
        """Every file that is read."""
        return [self.images, self.pool, self.train, self.smallest, self.protocol]


def all_boxes(file: Path) -> Boxes:
    """Boxes of every picture; those of no width or height, which the file has, are left out."""
    records, boxes = read(file, "Img").ravel(), {}
    with published_layout(file):
        for record in records:
            name = str(record["imname"].item())
            # Stored narrow (uint8 or uint16): x + w would overflow.
            cells = [cell.ravel().astype(np.int64) for cell in record["box"]["idlocate"].ravel()]
            found = np.array(cells, np.int64).reshape(-1, 4)
            solid = (found[:, 2:] > 0).all(axis=1)
            if not solid.all():
                log.debug("pictures have a box without area, which is left out: %s", name)
            boxes[name] = found[solid]
    return boxes


def pool_pictures(file: Path, boxes: Boxes) -> list[str]:
    """Names of the test pictures; ValueError if Images.mat lacks one."""
    cells = read(file, "pool").ravel()
    with published_layout(file):
        names = [str(cell.item()) for cell in cells]
    unknown = [name for name in names if name not in boxes]
    if unknown:
        raise ValueError(f"{file} lists {unknown[0]}, which Images.mat lacks: restore both files.")
    return names


def training_people(file: Path) -> Iterator[list[Appearance]]:
    """The appearances of each training identity."""
    cells = read(file, "Train").ravel()
    with published_layout(file):
        for cell in cells:
            yield list(_appearances(cell.ravel()[0][2].ravel()))


def searches(file: Path, variable: str) -> Iterator[Search]:
    """The searches of a protocol, in its order; galleries with their repetitions."""
    records = read(file, variable).ravel()
    with published_layout(file):
        for record in records:
            gallery = record["Gallery"].ravel()
            ((picture, box),) = _appearances(record["Query"].ravel())
            names = [str(cell.item()) for cell in gallery["imname"]]
            yield Search(picture, box, names, list(_appearances(gallery)))


def _appearances(records: np.ndarray) -> Iterator[Appearance]:
    """Records with a box; one without holds an empty matrix, which scipy gives the shape (1, 0)."""
    for name, box in zip(records["imname"], records["idlocate"], strict=True):
        if box.size:
            yield str(name.item()), box.ravel().astype(np.int64).reshape(4)


def name_people(boxes: Boxes, people: Iterable[Iterable[Appearance]], file: Path) -> People:
    """Boxes with identities 0, 1, … in the order of `people`, everybody else UNLABELLED.

    An identity is attached to the first box that is exactly equal: the files share no other key.
    """
    named = {name: (found, np.full(len(found), UNLABELLED)) for name, found in boxes.items()}
    lost = []
    for identity, appearances in enumerate(people):
        for name, box in appearances:
            found, ids = named.get(name, (np.zeros((0, 4), np.int64), np.zeros(0, np.int64)))
            (rows,) = np.nonzero((found == box).all(axis=1))
            if len(rows):
                ids[rows[0]] = identity
            else:
                lost.append(name)
    if lost:
        log.warning("%d boxes of %s are not in Images.mat, the first in %s", len(lost), file.name, lost[0])
    return named
