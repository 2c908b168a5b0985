"""Your own scenes: COCO-style JSON with a `person_id` per annotation, and a file of queries.

root/images/…              the pictures
root/train.json            images: id, file_name, width, height, camera (optional);
                           annotations: image_id, bbox [x, y, w, h] in pixels, person_id (>= 0 a known
                           person, -1 or absent an unknown one), ignore (optional)
root/test.json             the same, annotations with an id
root/queries.json          queries: annotation_id (in test.json), gallery (optional image ids;
                           without it all test images but the query's own)
root/val.json, root/queries_val.json   optional, like test.json and queries.json
"""

from __future__ import annotations

import json
import logging
import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from psearch.data.fingerprints import contents, fingerprint, train_fingerprint
from psearch.data.pictures import split
from psearch.data.scenes import clipped, renumbered, scene, solid
from psearch.data.transforms import pair
from psearch.types import UNLABELLED, Benchmark, Query, Scene, Split

log = logging.getLogger(__name__)


def coco(
    root: str | Path,
    *,
    name: str = "coco",
    sides: Sequence[int] | None = None,
    cache: str | Path | None = None,
) -> Benchmark:
    """Reads a folder of the layout above. sides: (shorter, longer) side to resize scenes to. cache: folder in
    which digests of pictures are kept; None keeps none.

    Labelled training identities are renumbered 0..N-1 in ascending order of `person_id`.
    ValueError naming the file and the record for whatever is missing or contradictory.
    The data fingerprint does not depend on `sides`, that of the training part does.
    """
    root = Path(root)
    train, test = _read_split(root, "train"), _read_split(root, "test")
    files = [root / "train.json", root / "test.json", root / "queries.json"]
    val = None
    if (root / "val.json").exists():
        val = _with_queries(_read_split(root, "val"), root / "queries_val.json")
        files += [root / "val.json", root / "queries_val.json"]
    splits = [train.split, *([val] if val else []), _with_queries(test, root / "queries.json")]
    for each in splits[1:]:
        _warn_of_shared(train.split, each)
    scenes, identities = renumbered(train.split.scenes)
    names = [shown.name for each in splits for shown in each.scenes]
    pictures = contents(root / "images", names, cache)
    return Benchmark(
        name=name,
        fingerprint=fingerprint(files, pictures, "coco"),
        identities=identities,
        train=replace(train.split, scenes=scenes),
        val=val,
        test=splits[-1],
        sides=pair(sides),
        gallery_size=_gallery_size(splits[-1]),
        train_fingerprint=train_fingerprint(scenes, pictures, sides),
    )


@dataclass(frozen=True, eq=False)
class _Read:
    """A split without queries, and what queries refer to."""

    split: Split
    file: Path
    scene_of_image: dict[Any, int]
    annotations: dict[Any, Record]


def _read_split(root: Path, name: str) -> _Read:
    file = root / f"{name}.json"
    images = load(file, "images")
    scene_of_image = {field(image, "id", f"In {file}, image"): index for index, image in enumerate(images)}
    if len(scene_of_image) < len(images):
        raise ValueError(f"In {file}, two images have the same id: make ids unique.")
    of_scene: list[list[Record]] = [[] for _ in images]
    annotations = {}
    for annotation in load(file, "annotations"):
        image = field(annotation, "image_id", f"In {file}, annotation")
        if image not in scene_of_image:
            raise ValueError(
                f"In {file}, annotation {annotation.get('id', annotation)} belongs to image {image}, "
                "which is not listed: add the image or remove the annotation."
            )
        of_scene[scene_of_image[image]].append(annotation)
        number = annotation.get("id")
        if number is not None and number in annotations:
            raise ValueError(f"In {file}, two annotations have the id {number}: make ids unique.")
        annotations[number] = annotation
    scenes = [_scene(*each, file) for each in zip(images, of_scene, strict=True)]
    return _Read(split(name, root / "images", scenes), file, scene_of_image, annotations)


def _scene(image: Record, annotations: list[Record], file: Path) -> Scene:
    this, person = f"In {file}, image", f"In {file}, annotation"
    return scene(
        str(field(image, "file_name", this)),
        (integer(image, "height", this), integer(image, "width", this)),
        np.array([box(each, person) for each in annotations]),
        np.array([integer(each, "person_id", person, UNLABELLED) for each in annotations]),
        ignore=np.array([bool(each.get("ignore") or each.get("iscrowd")) for each in annotations]),
        camera=integer(image, "camera", this, 0),
    )


def _warn_of_shared(train: Split, test: Split) -> None:
    """Logs a leak: whoever trains on the people he is tested on measures memory."""
    shared = set.intersection(
        *(
            {person for each in split.scenes for person in each.ids[each.ids >= 0].tolist()}
            for split in (train, test)
        )
    )
    if shared:
        log.warning(
            "identities in train.json as well as in %s.json, which flatters results: %d",
            test.name,
            len(shared),
        )


def _with_queries(read: _Read, file: Path) -> Split:
    shown_in = defaultdict(set)
    for index, each in enumerate(read.split.scenes):
        for person in each.ids.tolist():
            shown_in[person].add(index)
    queries = []
    for record in load(file, "queries"):
        query = _query(record, read, file)
        if shown_in[query.identity].isdisjoint(query.gallery.tolist()):
            raise ValueError(
                f"In {file}, query {record.get('id', record)} asks for person {query.identity}, who is in no "
                "picture of its gallery: add one to the gallery or remove the query."
            )
        queries.append(query)
    if not queries:
        raise ValueError(f"The file {file} holds no query: add at least one.")
    return replace(read.split, queries=queries)


def _query(record: Record, read: _Read, file: Path) -> Query:
    what = f"In {file}, query {record.get('id', record)}"
    annotation = read.annotations.get(field(record, "annotation_id", f"In {file}, query"))
    if annotation is None:
        raise ValueError(
            f"{what} asks for annotation {record['annotation_id']}, not in {read.file}: correct the id."
        )
    index = read.scene_of_image[annotation["image_id"]]
    own, where = read.split.scenes[index], f"In {read.file}, annotation"
    boxes = clipped(np.array(box(annotation, where)), own.height, own.width)
    person = integer(annotation, "person_id", where, UNLABELLED)
    if person < 0 or not solid(boxes).all():
        raise ValueError(
            f"{what} asks for an annotation without a person_id or without area: choose another annotation."
        )
    if "gallery" not in record:
        gallery = [other for other in range(len(read.split.scenes)) if other != index]
    elif unknown := [image for image in record["gallery"] if image not in read.scene_of_image]:
        raise ValueError(f"{what} has image {unknown[0]} in its gallery, not in {read.file}: remove it.")
    else:
        gallery = [read.scene_of_image[image] for image in record["gallery"]]
    return Query(index, boxes[0], person, np.array(gallery, np.int64))


def _gallery_size(split: Split) -> int:
    """Scenes per search; -1 if every search looks through all other scenes, the largest if they differ."""
    sizes = {len(query.gallery) for query in split.queries}
    return -1 if sizes == {len(split.scenes) - 1} else max(sizes)


Record = dict[str, Any]


def load(file: Path, key: str) -> list[Record]:
    """The list of objects under `key` of a JSON file; ValueError if that is not what the file holds."""
    if not file.is_file():
        raise ValueError(f"There is no file {file}: set data.root to the folder that holds it.")
    try:
        content = json.loads(file.read_bytes())
    except ValueError as error:
        raise ValueError(f"The file {file} is not valid JSON ({error}): write it again.") from error
    records = content.get(key) if isinstance(content, dict) else None
    if not isinstance(records, list) or not all(isinstance(record, dict) for record in records):
        raise ValueError(f"The file {file} needs a list of objects under the key '{key}': add it.")
    return records


def field(record: Record, key: str, where: str) -> Any:
    """The value of a mandatory key; `where` begins the message, e.g. "In train.json, image"."""
    if record.get(key) is None:
        raise ValueError(f"{where} {record.get('id', record)} has no '{key}': add it.")
    return record[key]


def integer(record: Record, key: str, where: str, default: int | None = None) -> int:
    """A whole number; mandatory unless there is a default."""
    value = default if default is not None and record.get(key) is None else field(record, key, where)
    if isinstance(value, bool) or not isinstance(value, int | float) or not float(value).is_integer():
        raise ValueError(f"{where} {record.get('id', record)} has {key} {value!r}: write a whole number.")
    return int(value)


def box(record: Record, where: str) -> list[float]:
    """`bbox` [x, y, w, h] as xyxy."""
    value = field(record, "bbox", where)
    numbers = isinstance(value, list) and all(isinstance(number, int | float) for number in value)
    if not numbers or len(value) != 4 or not all(map(math.isfinite, value)):
        raise ValueError(
            f"{where} {record.get('id', record)} has the bbox {value}: write four numbers [x, y, w, h]."
        )
    x, y, width, height = map(float, value)
    return [x, y, x + width, y + height]
