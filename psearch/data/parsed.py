"""Parsed annotations kept on disk, because the published files take seconds to minutes to parse."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy.io import loadmat

from psearch.files import kept, write_arrays
from psearch.types import Query, Scene

Arrays = Mapping[str, np.ndarray]


class Parsed(NamedTuple):
    """What a data set's annotation files say."""

    train: list[Scene]
    test: list[Scene]
    queries: list[Query]


def parsed(cache: str | Path | None, name: str, parse: Callable[[], Parsed]) -> Parsed:
    """The result of `parse`, taken from the folder `cache`/`name` where it is there, else kept there.

    name: holds the data fingerprint and the digest of the code that parses, so that a stored result is never
    stale. cache None keeps nothing.
    """
    if cache is None:
        return parse()
    return kept(Path(cache) / name / "annotations.npz", parse, write=_save, read=_load)


def _load(file: Path) -> Parsed:
    try:
        with np.load(file, allow_pickle=False) as arrays:
            return Parsed(
                list(_scenes(arrays, "train")), list(_scenes(arrays, "test")), list(_queries(arrays))
            )
    except OSError:
        raise
    except Exception as error:  # numpy, zipfile and zlib each raise their own
        raise ValueError(f"damaged ({error})") from error


def _save(file: Path, result: Parsed) -> None:
    arrays = {
        **_flat_scenes(result.train, "train"),
        **_flat_scenes(result.test, "test"),
        **_flat_queries(result.queries),
    }
    write_arrays(file, arrays)


def _flat_scenes(scenes: Sequence[Scene], split: str) -> dict[str, np.ndarray]:
    return {
        f"{split}_names": np.array([scene.name for scene in scenes], np.str_),
        f"{split}_facts": np.array(
            [(s.height, s.width, s.camera, len(s.ids)) for s in scenes], np.int64
        ).reshape(-1, 4),
        f"{split}_boxes": np.concatenate([np.zeros((0, 4), np.float32), *(s.boxes for s in scenes)]),
        f"{split}_ids": np.concatenate([np.zeros(0, np.int64), *(s.ids for s in scenes)]),
        f"{split}_ignore": np.concatenate([np.zeros(0, bool), *(s.ignore for s in scenes)]),
    }


def _scenes(arrays: Arrays, split: str) -> Iterator[Scene]:
    names, facts = arrays[f"{split}_names"], arrays[f"{split}_facts"]
    boxes, ids, ignore = (arrays[f"{split}_{part}"] for part in ("boxes", "ids", "ignore"))
    ends = np.cumsum(facts[:, 3])
    for name, (height, width, camera, count), end in zip(
        names.tolist(), facts.tolist(), ends.tolist(), strict=True
    ):
        of = slice(end - count, end)
        yield Scene(name, height, width, boxes[of], ids[of], ignore[of], camera)


def _flat_queries(queries: Sequence[Query]) -> dict[str, np.ndarray]:
    return {
        "query_facts": np.array([(q.scene, q.identity, len(q.gallery)) for q in queries], np.int64).reshape(
            -1, 3
        ),
        "query_boxes": np.array([q.box for q in queries], np.float32).reshape(-1, 4),
        "galleries": np.concatenate([np.zeros(0, np.int32), *(q.gallery.astype(np.int32) for q in queries)]),
    }


def _queries(arrays: Arrays) -> Iterator[Query]:
    facts, boxes, galleries = arrays["query_facts"], arrays["query_boxes"], arrays["galleries"]
    ends = np.cumsum(facts[:, 2])
    for (scene, identity, count), box, end in zip(facts.tolist(), boxes, ends.tolist(), strict=True):
        yield Query(scene, box, identity, galleries[end - count : end].astype(np.int64))


def read(file: Path, *variables: str) -> np.ndarray:
    """The first of `variables` that a .mat file holds. ValueError for a missing or unreadable file."""
    if not file.is_file():
        raise ValueError(f"There is no file {file}: set data.root to the folder that holds it.")
    try:
        content = loadmat(file)
    except Exception as error:  # scipy lets struct, zlib, index and type errors of broken files through
        raise ValueError(f"The file {file} cannot be read ({error}): restore the original file.") from error
    for variable in variables:
        if variable in content:
            return np.asarray(content[variable])
    raise ValueError(
        f"The file {file} holds no variable {' or '.join(variables)}: restore the original file."
    )


@contextmanager
def published_layout(file: Path) -> Iterator[None]:
    """Turns what goes wrong inside, while records are taken apart, into a ValueError that names the file."""
    try:
        yield
    except (ValueError, IndexError, KeyError, TypeError) as error:
        raise ValueError(
            f"{file} is not laid out as published ({error}): restore the original file."
        ) from error
