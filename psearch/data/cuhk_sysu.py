"""CUHK-SYSU (Xiao et al. 2017), the person-search benchmark of street snaps and film stills."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from psearch.data.cuhk_sysu_files import (
    Layout,
    People,
    Search,
    all_boxes,
    name_people,
    pool_pictures,
    searches,
    training_people,
)
from psearch.data.fingerprints import contents, fingerprint, train_fingerprint
from psearch.data.parsed import Parsed, parsed
from psearch.data.pictures import picture_sizes, pictures_in, split
from psearch.data.scenes import clipped, corners, renumbered, scene
from psearch.data.transforms import pair
from psearch.sources import code_digest
from psearch.types import Benchmark, Query, Scene

GALLERY_SIZES = (50, 100, 500, 1000, 2000, 4000)
SUBSETS = {"occlusion": ("Occlusion.mat", "Occlusion1"), "low_resolution": ("Resolution.mat", "Test_Size")}


def cuhk_sysu(
    root: str | Path,
    *,
    gallery_size: int = 100,
    subset: str | None = None,
    sides: Sequence[int] | None = (900, 1500),
    cache: str | Path | None = None,
) -> Benchmark:
    """Reads the data set; the training set is every picture that is not in the pool.

    gallery_size: one of GALLERY_SIZES, or -1 for the whole pool: the gallery of TestG50, then every other
    picture but the query's own (as psdb and NAE do). subset: None, or one of SUBSETS, whose galleries
    hold 100. Galleries are as published: four list a scene twice, two hold the query's own. The test split's
    `gallery` has every size and subset, so that one pass over the scenes measures them all.
    cache: folder for digests of pictures and for the parsed annotations, which take a while to parse; None
    reads and parses each time.
    Test identities are the numbers of the searches in TestG50. Coordinates are whole pixels.
    ValueError naming the file for whatever is missing, unreadable or contradictory.
    """
    name, protocol, variable = _protocol(gallery_size, subset)
    files = Layout(Path(root), protocol)
    pictures = contents(files.pictures, pictures_in(files.pictures), cache)
    mark = fingerprint(files.annotations, pictures, [name, gallery_size])
    parse = partial(_parse, files, variable, whole_pool=gallery_size == -1)
    kept = f"{name}-{mark}-{code_digest([__name__], ('psearch.data',))}"
    train, test, queries = parsed(cache, kept, parse)
    train, identities = renumbered(train)
    return Benchmark(
        name=name,
        fingerprint=mark,
        identities=identities,
        train=split("train", files.pictures, train),
        val=None,
        test=replace(
            split("test", files.pictures, test, queries), gallery=partial(_gallery, root, cache=cache)
        ),
        sides=pair(sides),
        gallery_size=gallery_size,
        train_fingerprint=train_fingerprint(train, pictures, sides),
    )


def _gallery(root: str | Path, name: int | str, *, cache: str | Path | None) -> Sequence[Query]:
    if isinstance(name, int):
        return cuhk_sysu(root, gallery_size=name, cache=cache).test.queries
    return cuhk_sysu(root, subset=name, cache=cache).test.queries


def _protocol(gallery_size: int, subset: str | None) -> tuple[str, str, str]:
    """Name of the benchmark, file below annotation/test, and variable in it."""
    if subset is None and gallery_size in (-1, *GALLERY_SIZES):
        variable = f"TestG{50 if gallery_size == -1 else gallery_size}"
        return "cuhk_sysu", f"train_test/{variable}.mat", variable
    if subset in SUBSETS and gallery_size == 100:
        return f"cuhk_sysu_{subset}", f"subset/{SUBSETS[subset][0]}", SUBSETS[subset][1]
    sizes, subsets = ", ".join(map(str, GALLERY_SIZES)), " or ".join(SUBSETS)
    raise ValueError(
        f"CUHK-SYSU has no galleries of {gallery_size} with the subset {subset}: choose a gallery_size of "
        f"{sizes} or -1 without a subset, or subset {subsets} with gallery_size 100."
    )


def _parse(files: Layout, variable: str, *, whole_pool: bool) -> Parsed:
    boxes = all_boxes(files.images)
    pool = pool_pictures(files.pool, boxes)
    training = name_people(boxes, training_people(files.train), files.train)
    wanted = ([(s.picture, s.box), *s.appearances] for s in searches(files.smallest, "TestG50"))
    testing = name_people(boxes, wanted, files.smallest)
    in_pool = set(pool)
    rest = [name for name in boxes if name not in in_pool]
    sizes = picture_sizes(files.pictures, [*rest, *pool])
    train = [_scene(*each, training) for each in zip(rest, sizes, strict=False)]
    test = [_scene(*each, testing) for each in zip(pool, sizes[len(rest) :], strict=True)]
    queries = _queries(searches(files.protocol, variable), test, testing, files.protocol, whole_pool)
    return Parsed(train, test, list(queries))


def _scene(name: str, size: tuple[int, int], people: People) -> Scene:
    boxes, ids = people[name]
    return scene(name, size, corners(boxes), ids)


def _queries(
    wanted: Iterable[Search], test: Sequence[Scene], people: People, file: Path, whole_pool: bool
) -> Iterator[Query]:
    index = {each.name: number for number, each in enumerate(test)}
    for number, search in enumerate(wanted):
        if unknown := {search.picture, *search.gallery} - index.keys():
            raise ValueError(
                f"{file}: search {number} names {min(unknown)}, which is not in pool.mat: restore both files."
            )
        own, (boxes, ids) = index[search.picture], people[search.picture]
        identity = int(ids[(boxes == search.box).all(axis=1)].max(initial=-1))
        if identity < 0:
            raise ValueError(
                f"{file}: search {number} is for nobody of TestG50.mat, at {search.box.tolist()} in "
                f"{search.picture}: restore both files."
            )
        gallery = [index[name] for name in search.gallery]
        if whole_pool:
            listed = {own, *gallery}
            gallery += [other for other in range(len(test)) if other not in listed]
        box = clipped(corners(search.box), test[own].height, test[own].width)[0]
        yield Query(own, box, identity, np.array(gallery, np.int64))
