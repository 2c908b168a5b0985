"""PRW (Zheng et al. 2017) in the layout its authors give it away in, and PRW-mini (Munjal et al. 2019).

root/frames/c1s1_000151.jpg …              all pictures; the first number is the camera
root/annotations/c1s1_000151.jpg.mat …     box_new, anno_file or anno_previous: rows id, x, y, w, h; id -2:
                                           a person nobody has named
root/frame_train.mat, frame_test.mat       img_index_train, img_index_test: names without .jpg
root/query_info.txt                        lines: id x y w h frame (CRLF)
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from tqdm import tqdm

from psearch.data.fingerprints import contents, fingerprint, train_fingerprint
from psearch.data.parsed import Parsed, parsed, published_layout, read
from psearch.data.pictures import picture_sizes, pictures_in, split
from psearch.data.scenes import clipped, corners, renumbered, scene
from psearch.data.transforms import pair
from psearch.sources import code_digest
from psearch.types import UNLABELLED, Benchmark, Query, Scene

MINI = Path(__file__).with_name("prw_mini_query_info.txt")
"""The 30 queries of PRW-mini, from the repository of Query-guided person search (Munjal et al. 2019)."""


def prw(
    root: str | Path,
    *,
    published_boxes: bool = False,
    sides: Sequence[int] | None = (900, 1500),
    cache: str | Path | None = None,
) -> Benchmark:
    """Reads PRW: 2,057 queries, each searched in all test frames but its own.

    cache: folder for digests of pictures and for the parsed annotations, one file per frame; None reads and
    parses each time. Training identities are renumbered 0..482, test identities are those of the files. To
    leave out the frames of the query's own camera is a protocol of the evaluation, `other_cameras`.
    published_boxes: False takes the boxes as they are annotated and cuts them to the picture; True as the
    public readers do (SeqNet, NAE): in whole pixels, moved instead of cut at the left and top edge, not cut
    at the others.
    ValueError naming the file for whatever is missing, unreadable or contradictory.
    """
    file = Path(root) / "query_info.txt"
    return _read("prw", Path(root), file, published_boxes, sides, cache)


def prw_mini(
    root: str | Path,
    *,
    published_boxes: bool = False,
    sides: Sequence[int] | None = (900, 1500),
    cache: str | Path | None = None,
) -> Benchmark:
    """PRW with the 30 queries of PRW-mini, which come with this package: one query is 3.3 points of top-1."""
    return _read("prw_mini", Path(root), MINI, published_boxes, sides, cache)


def _read(
    name: str,
    root: Path,
    query_file: Path,
    published_boxes: bool,
    sides: Sequence[int] | None,
    cache: str | Path | None,
) -> Benchmark:
    frames = root / "frames"
    pictures = contents(frames, pictures_in(frames), cache)
    splits = {part: _frames(root, part) for part in ("train", "test")}
    files = [_annotation_file(root, frame) for frame in [*splits["train"], *splits["test"]]]
    lists = [root / "frame_train.mat", root / "frame_test.mat", query_file]
    mark = fingerprint([*lists, *files], pictures, [name, published_boxes])
    kept = f"{name}-{mark}-{code_digest([__name__], ('psearch.data',))}"
    train, test, _ = parsed(cache, kept, partial(_parse, root, splits, published_boxes))
    train, identities = renumbered(train)
    queries = list(_queries(query_file, test, published_boxes))
    return Benchmark(
        name=name,
        fingerprint=mark,
        identities=identities,
        train=split("train", frames, train),
        val=None,
        test=split("test", frames, test, queries),
        sides=pair(sides),
        train_fingerprint=train_fingerprint(train, pictures, sides),
    )


def _frames(root: Path, part: str) -> list[str]:
    file = root / f"frame_{part}.mat"
    cells = read(file, f"img_index_{part}").ravel()
    with published_layout(file):
        return [f"{cell.item()}.jpg" for cell in cells]


def _annotation_file(root: Path, frame: str) -> Path:
    return root / "annotations" / f"{frame}.mat"


def _parse(root: Path, splits: dict[str, list[str]], published_boxes: bool) -> Parsed:
    frames = [*splits["train"], *splits["test"]]
    sizes = picture_sizes(root / "frames", frames)
    paired = tqdm(zip(frames, sizes, strict=True), "annotations", len(frames), disable=None, leave=False)
    scenes = [_scene(root, frame, size, published_boxes) for frame, size in paired]
    return Parsed(scenes[: len(splits["train"])], scenes[len(splits["train"]) :], [])


def _scene(root: Path, frame: str, size: tuple[int, int], published_boxes: bool) -> Scene:
    file = _annotation_file(root, frame)
    rows = np.asarray(read(file, "box_new", "anno_file", "anno_previous"), np.float64)
    if rows.size and (rows.ndim != 2 or rows.shape[1] != 5 or not np.isfinite(rows).all()):
        raise ValueError(f"{file} holds no rows of id, x, y, w, h: restore the original file.")
    rows = rows.reshape(-1, 5)
    ids, camera = rows[:, 0], _camera(frame)
    if published_boxes:
        boxes = np.trunc(corners(rows[:, 1:].clip(0)))
        none = np.zeros(len(ids), bool)
        return Scene(
            frame, *size, boxes.astype(np.float32), np.maximum(ids, UNLABELLED).astype(int), none, camera
        )
    return scene(frame, size, corners(rows[:, 1:]), ids, camera=camera)


def _camera(frame: str) -> int:
    match = re.match(r"c(\d+)s", frame)
    if match is None:
        raise ValueError(
            f"The frame {frame} does not begin with its camera, as in c1s1_000151.jpg: rename it."
        )
    return int(match[1])


def _queries(file: Path, test: Sequence[Scene], published_boxes: bool) -> Iterator[Query]:
    index = {each.name: number for number, each in enumerate(test)}
    for number, line in enumerate(file.read_text().splitlines(), start=1):
        if not line.strip():
            continue
        try:
            person, *values, frame = line.split()
            box = corners(np.array(values, np.float64).reshape(4))
            own, identity = index[f"{frame}.jpg"], int(person)
            np.asarray_chkfinite(box)
        except (ValueError, KeyError) as error:
            raise ValueError(
                f"{file}, line {number}: '{line.strip()}' is not 'id x y w h frame' with one of the test "
                "frames: correct it."
            ) from error
        if published_boxes:
            box = np.trunc(box).clip(0).astype(np.float32)
        else:
            box = clipped(box, test[own].height, test[own].width)[0]
        yield Query(own, box, identity, np.delete(np.arange(len(test)), own))
