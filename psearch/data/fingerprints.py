"""Fingerprints: a data set known by the content of its annotations and pictures, not by where it lies."""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Iterable, Mapping, Sequence
from functools import cache as memoised
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from psearch.build import build
from psearch.data.pictures import in_threads, refuse_missing
from psearch.files import replace_json
from psearch.types import Scene

log = logging.getLogger(__name__)

Contents = Mapping[str, tuple[int, str]]
"""Picture name -> size in bytes and digest of the bytes."""

Stamped = dict[str, list[Any]]
"""Picture name -> size in bytes, modification time in ns, digest: what is kept between two runs."""


class Fingerprints(NamedTuple):
    """`Benchmark.fingerprint` and `Benchmark.train_fingerprint`."""

    whole: str
    train: str


def fingerprints(node: Mapping[str, Any]) -> Fingerprints:
    """Those of the data that a config node names, without reading it where the reader offers that: it has an
    attribute `fingerprints`, which is called with the reader's own arguments.

    Raises ValueError as the reader does.
    """
    reader = build({**node, "_partial_": True})
    known = getattr(reader.func, "fingerprints", None)
    if known is not None:
        return Fingerprints(*known(**reader.keywords))
    benchmark = reader()
    return Fingerprints(benchmark.fingerprint, benchmark.train_fingerprint)


def fingerprint(annotations: Sequence[Path], contents: Contents, settings: object) -> str:
    """Hex digest of annotation files, of pictures by name and content, and of the reader's settings.

    ValueError that names missing files.
    """
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode())
    for file, content in zip(annotations, in_threads(_annotation, annotations, "annotations"), strict=True):
        if content is None:
            raise ValueError(f"There is no file {file}: set data.root to the folder that holds it.")
        digest.update(content)
    digest.update(json.dumps(sorted(contents.items())).encode())
    return digest.hexdigest()[:16]


def train_fingerprint(train: Sequence[Scene], contents: Contents, sides: Sequence[int] | None) -> str:
    """Hex digest of training scenes as a reader gives them, of their pictures by content, and `sides`."""
    digest = hashlib.sha256()
    for scene in train:
        facts = [scene.name, contents[scene.name], scene.height, scene.width, scene.ids.tolist()]
        digest.update(json.dumps(facts).encode() + scene.boxes.tobytes() + scene.ignore.tobytes())
    digest.update(json.dumps(list(sides or ())).encode())
    return digest.hexdigest()[:16]


def contents(folder: Path, names: Iterable[str], cache: str | Path | None) -> Contents:
    """Size and digest of each picture of a folder.

    cache: digests are kept in its folder `digests` and used again as long as a picture has the same size and
    modification time; None keeps them in memory only. A picture that is replaced by one of the same size, and
    given the old one's time, goes unnoticed. ValueError that names the pictures that are not there.
    """
    wanted, place = sorted(set(names)), folder.resolve()
    name = f"{hashlib.sha256(os.fsencode(place)).hexdigest()[:16]}.json"
    file = None if cache is None else Path(cache, "digests", name)
    known = {} if file is None else _read(file)
    found = in_threads(partial(_stamp, place, known), wanted, "pictures")
    refuse_missing(folder, wanted, [stamp is not None for stamp in found])
    stamps = {name: stamp for name, stamp in zip(wanted, found, strict=True) if stamp is not None}
    if file is not None and any(known.get(name) != stamp for name, stamp in stamps.items()):
        _keep(file, {**known, **stamps})
    return {name: (size, digest) for name, (size, _, digest) in stamps.items()}


def _stamp(folder: Path, known: Stamped, name: str) -> list[Any] | None:
    try:
        found = os.stat(folder / name)
        kept = known.get(name)
        if kept and kept[:2] == [found.st_size, found.st_mtime_ns]:
            return kept
        digest = _digest(folder / name, found.st_size, found.st_mtime_ns)
        return [found.st_size, found.st_mtime_ns, digest]
    except FileNotFoundError:
        return None


@memoised
def _digest(path: Path, size: int, mtime_ns: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:32]


def _read(file: Path) -> Stamped:
    """What was kept; nothing if it cannot be read: pictures are then read again."""
    try:
        kept = json.loads(file.read_bytes())
    except (OSError, ValueError):
        return {}
    return kept if isinstance(kept, dict) else {}


def _keep(file: Path, stamps: Stamped) -> None:
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        replace_json(file, stamps)
    except OSError as error:
        log.warning(
            "digests of pictures cannot be kept in %s (%s): each run reads them", file, error.strerror
        )


def _annotation(file: Path) -> bytes | None:
    try:
        return hashlib.sha256(file.read_bytes()).digest()
    except FileNotFoundError:
        return None
