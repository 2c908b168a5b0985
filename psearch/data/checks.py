"""What is looked for in each split of a data set. Findings are lines: a count, what, and names."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from psearch.data.pictures import PictureFolder, header, in_threads, is_complete
from psearch.data.scenes import solid
from psearch.types import Benchmark, Query, Split

SHOWN = 10
"""Names listed per finding."""


@dataclass(frozen=True)
class Findings:
    """notes: oddities that published data has and this project handles. problems: what must be mended."""

    notes: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


def check_pictures(split: Split, found: Findings, *, decode: bool) -> None:
    """Each picture is there, whole, and of the size its annotation says."""
    if decode:
        sizes = in_threads(lambda index: _decoded(split, index), range(len(split.scenes)), "decoding")
    elif isinstance(split.read, PictureFolder):
        folder, names = split.read.folder, split.read.names
        sizes = in_threads(
            lambda name: header(folder / name) if is_complete(folder / name) else None, names, "headers"
        )
    else:
        return
    damaged, other_size = [], []
    for scene, size in zip(split.scenes, sizes, strict=True):
        if size is None:
            damaged.append(scene.name)
        elif size != (scene.height, scene.width):
            other_size.append(f"{scene.name} ({size[1]}x{size[0]}, not {scene.width}x{scene.height})")
    _add(found.problems, "pictures missing, truncated or no pictures; restore them", damaged)
    _add(
        found.problems,
        "pictures of another size than annotated; restore them or correct the sizes",
        other_size,
    )


def _decoded(split: Split, index: int) -> tuple[int, int] | None:
    try:
        height, width, _ = split.read(index).shape
    except ValueError:
        return None
    return height, width


def check_boxes(split: Split, found: Findings) -> None:
    """Areas, edges, and identities that occur twice in a scene."""
    flat, beyond, twice = [], [], []
    for scene in split.scenes:
        inside = (scene.boxes >= 0).all() and (scene.boxes <= [scene.width, scene.height] * 2).all()
        flat += [] if solid(scene.boxes).all() else [scene.name]
        beyond += [] if inside else [scene.name]
        known = scene.ids[scene.ids >= 0]
        twice += [] if len(np.unique(known)) == len(known) else [scene.name]
    _add(found.problems, f"{split.name} scenes have boxes without area; remove the boxes", flat)
    _add(found.notes, f"{split.name} scenes have boxes that reach beyond the picture", beyond)
    _add(found.notes, f"{split.name} scenes show one identity twice", twice)


def check_queries(split: Split, found: Findings) -> None:
    """Galleries and the people to find in them; queries are named by their number, from 0."""
    shown_in = defaultdict(set)
    for index, scene in enumerate(split.scenes):
        for person in scene.ids.tolist():
            shown_in[person].add(index)
    empty, absent, stranger, twice, own = [], [], [], [], []
    for number, query in enumerate(split.queries):
        listed = set(query.gallery.tolist())
        empty += [] if listed else [number]
        absent += [number] if shown_in[query.identity].isdisjoint(listed) else []
        stranger += [] if query.scene in shown_in[query.identity] else [number]
        twice += [_with_scene(split, number, query, repeated)] if (repeated := _repeated(query)) else []
        own += [_with_scene(split, number, query, [query.scene])] if query.scene in listed else []
    _add(found.problems, f"{split.name} queries have an empty gallery; add scenes", empty)
    _add(found.problems, f"{split.name} queries are for a person not boxed in their own scene", stranger)
    hopeless = found.problems if len(absent) == len(split.queries) else found.notes
    _add(hopeless, f"{split.name} queries have nobody to find and are left out of the evaluation", absent)
    _add(found.notes, f"{split.name} queries list a scene more than once", twice)
    _add(found.notes, f"{split.name} queries have their own scene in the gallery", own)


def _repeated(query: Query) -> list[int]:
    scenes, times = np.unique(query.gallery, return_counts=True)
    return [int(scene) for scene in scenes[times > 1]]


def _with_scene(split: Split, number: int, query: Query, scenes: Sequence[int]) -> str:
    return f"{number} ({', '.join(split.scenes[scene].name for scene in scenes)})"


def check_identities(benchmark: Benchmark, found: Findings) -> None:
    """Training labels without gaps, and no picture on both sides."""
    ids = np.concatenate([np.zeros(0, np.int64), *(scene.ids for scene in benchmark.train.scenes)])
    times = Counter(ids[ids >= 0].tolist())
    missing = sorted(set(range(benchmark.identities)) - set(times))
    _add(found.problems, "training identities have no box; renumber them without gaps", missing)
    once = [identity for identity, count in times.items() if count == 1]
    _add(found.notes, "training identities have one box only, so nothing is learnt to match", once)
    names = [{scene.name for scene in split.scenes} for split in (benchmark.train, benchmark.test)]
    if isinstance(benchmark.train.read, PictureFolder):
        shared = sorted(set.intersection(*names))
        _add(found.problems, "pictures are in the training and in the test split; remove one", shared)


def _add(lines: list[str], what: str, which: Sequence[object]) -> None:
    if which:
        lines.append(listed(what, which))


def listed(what: str, which: Sequence[object]) -> str:
    """A finding: how many, what, and the first names."""
    names = [str(each) for each in which]
    others = f" and {len(names) - SHOWN} others" if len(names) > SHOWN else ""
    return f"{len(names)} {what}: {', '.join(names[:SHOWN])}{others}"


PRW = {
    "training scenes": 5704,
    "training boxes": 18048,
    "training identities": 483,
    "test scenes": 6112,
    "test boxes": 25062,
    "queries": 2057,
}
CUHK_SYSU = {
    "training scenes": 11206,
    "training boxes": 55272,
    "training identities": 5532,
    "test scenes": 6978,
    "test boxes": 40871,
    "queries": 2900,
}
COUNTS = {
    "cuhk_sysu": CUHK_SYSU,
    "cuhk_sysu_occlusion": {**CUHK_SYSU, "queries": 187},
    "cuhk_sysu_low_resolution": {**CUHK_SYSU, "queries": 290},
    "prw": PRW,
    "prw_mini": {**PRW, "queries": 30},
}
"""Benchmark name -> what `counts` gives for a complete copy. Source: Xiao et al. 2017, Zheng et al. 2017,
and what public readers find in the files."""


def counts(benchmark: Benchmark) -> dict[str, int]:
    """Numbers of scenes, boxes, identities and queries."""
    test = benchmark.test
    known = np.concatenate([np.zeros(0, np.int64), *(scene.ids for scene in test.scenes)])
    return {
        "training scenes": len(benchmark.train.scenes),
        "training boxes": sum(len(scene.ids) for scene in benchmark.train.scenes),
        "training identities": benchmark.identities,
        "test scenes": len(test.scenes),
        "test boxes": len(known),
        "test identities": len(np.unique(known[known >= 0])),
        "queries": len(test.queries),
    }
