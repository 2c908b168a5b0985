"""Writers of small data sets in exactly the layouts that CUHK-SYSU and PRW are given away in.

`write_cuhk_sysu` and `write_prw` write whatever they are given; `nasty_cuhk_sysu` and `nasty_prw` write a
few pictures with every oddity that the real files are known to have; `small_prw_mini` and `small_coco` what
a run needs.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image
from scipy.io import savemat

from psearch.data.prw import MINI

Box = Sequence[float]
Entry = tuple[str, Box | None]
"""Picture name and box x, y, w, h; None: the person is not there."""


def picture(path: Path, height: int, width: int, seed: int = 0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 255, (height // 8, width // 8, 3), dtype=np.uint8)
    Image.fromarray(pixels).resize((width, height)).save(path)


def structs(**columns: Sequence[object]) -> np.ndarray:
    """A MATLAB struct array, 1 x n."""
    (length,) = {len(column) for column in columns.values()}
    array = np.empty((1, length), [(name, object) for name in columns])
    for name, column in columns.items():
        for number, value in enumerate(column):
            array[name][0, number] = value
    return array


def cells(values: Sequence[object]) -> np.ndarray:
    """A MATLAB cell array, n x 1."""
    array = np.empty((len(values), 1), object)
    array[:, 0] = values
    return array


def narrow(box: Box | None) -> np.ndarray:
    """As scipy finds boxes in the real files: as narrow as their largest number, empty if there is none."""
    if box is None:
        return np.zeros((1, 0))
    return np.array([box], np.uint8 if max(box) < 256 else np.uint16)


def appearances(entries: Sequence[Entry]) -> np.ndarray:
    return structs(
        imname=[name for name, _ in entries],
        idlocate=[narrow(box) for _, box in entries],
        ishard=[np.zeros((1, 0)) if box is None else np.uint8(0) for _, box in entries],
    )


def write_cuhk_sysu(
    root: Path,
    *,
    boxes: Mapping[str, Sequence[Box]],
    pool: Sequence[str],
    train: Sequence[Sequence[Entry]],
    protocols: Mapping[str, Sequence[tuple[Entry, Sequence[Entry]]]],
) -> None:
    """boxes: per picture. train: per identity. protocols: variable name -> (query, gallery) per search."""
    tests = root / "annotation" / "test"
    for folder in (tests / "train_test", tests / "subset"):
        folder.mkdir(parents=True, exist_ok=True)
    images = structs(
        imname=list(boxes),
        nbox=[np.uint8(len(found)) for found in boxes.values()],
        box=[
            structs(idlocate=[narrow(box) for box in found], ishard=[np.uint8(0)] * len(found))
            for found in boxes.values()
        ],
    )
    savemat(root / "annotation" / "Images.mat", {"Img": images})
    savemat(root / "annotation" / "pool.mat", {"pool": cells(pool)})
    identities = [
        structs(idname=[f"p{number}"], nAppear=[len(entries)], scene=[appearances(entries)])
        for number, entries in enumerate(train)
    ]
    savemat(tests / "train_test" / "Train.mat", {"Train": cells(identities)})
    files = {"Occlusion1": "subset/Occlusion.mat", "Test_Size": "subset/Resolution.mat"}
    for variable, searches in protocols.items():
        records = structs(
            Query=[appearances([query]) for query, _ in searches],
            Gallery=[appearances(gallery) for _, gallery in searches],
        )
        savemat(tests / files.get(variable, f"train_test/{variable}.mat"), {variable: records})


def write_prw(
    root: Path,
    *,
    train: Mapping[str, Sequence[Sequence[float]]],
    test: Mapping[str, Sequence[Sequence[float]]],
    queries: Sequence[str],
    keys: Mapping[str, str] | None = None,
    line_end: str = "\r\n",
) -> None:
    """train, test: frame name without .jpg -> rows id, x, y, w, h. keys: variable names where not box_new."""
    (root / "annotations").mkdir(parents=True, exist_ok=True)
    for part, frames in (("train", train), ("test", test)):
        savemat(root / f"frame_{part}.mat", {f"img_index_{part}": cells(list(frames))})
        for frame, rows in frames.items():
            key = (keys or {}).get(frame, "box_new")
            savemat(
                root / "annotations" / f"{frame}.jpg.mat", {key: np.array(rows, np.float64).reshape(-1, 5)}
            )
    (root / "query_info.txt").write_bytes("".join(line + line_end for line in queries).encode())


def nasty_cuhk_sysu(root: Path) -> Path:
    """Four training pictures, seven of the pool, four searches."""
    sizes = {f"s{number}.jpg": (400, 320) for number in range(1, 12)}
    sizes["s2.jpg"] = (300, 500)
    for number, (name, size) in enumerate(sizes.items()):
        picture(root / "Image" / "SSM" / name, *size, seed=number)
    boxes = {
        "s1.jpg": [[200, 40, 60, 120], [10, 10, 0, 50], [5, 20, 40, 90]],  # 200 + 60 > 255; one of no width
        "s2.jpg": [[300, 30, 50, 100], [30, 30, 50, 100], [100, 30, 50, 100]],
        "s3.jpg": [[20, 20, 40, 80], [30, 30, 40, 0]],  # nobody labelled; one of no height
        "s4.jpg": [[50, 50, 60, 120], [290, 50, 60, 120]],  # the second beyond the right edge
        "s5.jpg": [[30, 30, 50, 100], [130, 30, 50, 100]],
        "s6.jpg": [[40, 30, 50, 100], [140, 30, 50, 100]],
        "s7.jpg": [[50, 30, 50, 100], [150, 30, 50, 100], [250, 30, 40, 90]],
        "s8.jpg": [[60, 30, 50, 100], [260, 30, 40, 90]],
        "s9.jpg": [[70, 30, 50, 100]],
        "s10.jpg": [[80, 30, 50, 100]],
        "s11.jpg": [[90, 30, 50, 100]],
    }
    train = [
        [("s1.jpg", [200, 40, 60, 120]), ("s2.jpg", [300, 30, 50, 100])],
        [("s2.jpg", [30, 30, 50, 100]), ("s2.jpg", [100, 30, 50, 100]), ("s4.jpg", [50, 50, 60, 120])],
    ]
    searches: list[tuple[Entry, list[Entry]]] = [
        (("s5.jpg", [30, 30, 50, 100]), [("s6.jpg", [40, 30, 50, 100]), ("s9.jpg", None), ("s10.jpg", None)]),
        # lists a positive twice with the same box
        (
            ("s5.jpg", [130, 30, 50, 100]),
            [("s7.jpg", [50, 30, 50, 100]), ("s7.jpg", [50, 30, 50, 100]), ("s9.jpg", None)],
        ),
        # lists a positive twice with two boxes of the person
        (
            ("s6.jpg", [140, 30, 50, 100]),
            [("s7.jpg", [150, 30, 50, 100]), ("s7.jpg", [250, 30, 40, 90]), ("s10.jpg", None)],
        ),
        # its own picture is in the gallery, with the query box itself
        (("s8.jpg", [60, 30, 50, 100]), [("s8.jpg", [60, 30, 50, 100]), ("s8.jpg", [260, 30, 40, 90])]),
    ]
    larger = [(query, [*gallery, ("s11.jpg", None)]) for query, gallery in searches]
    write_cuhk_sysu(
        root,
        boxes=boxes,
        pool=[f"s{number}.jpg" for number in range(5, 12)],
        train=train,
        protocols={
            "TestG50": searches,
            "TestG100": larger,
            "Occlusion1": larger[2:3],
            "Test_Size": larger[1:2],
        },
    )
    return root


def nasty_prw(root: Path) -> Path:
    """Three training and five test frames of three cameras, three queries."""
    train = {
        "c1s1_000151": [[478, 10, 20, 40, 80], [-2, 100, 20, 40, 80]],
        "c2s1_000176": [[932, 10.6, 20.4, 40.3, 80.2], [480, 100, 20, 40, 80]],
        "c6s3_000201": [[-2, 10, 20, 40, 80]],  # nobody labelled, and a smaller frame
    }
    test = {
        "c1s1_001001": [[479, -4.2, 20, 40.5, 80.5], [484, 100, 20, 40, 80]],
        "c1s1_001026": [[479, 30, 20, 40, 80], [479, 130, 20, 40, 80]],  # one id twice
        "c2s1_001051": [[484, 30, 20, 40, 80], [478, 290, 20, 40, 80]],  # a training id, beyond the edge
        "c2s1_001076": [[933, 30, 20, 40, 80]],
        "c6s3_001101": [[933, 30, 20, 40, 80], [479, 80, 20, 40, 80], [-2, 5, 5, 20, 0]],
    }
    for number, frame in enumerate([*train, *test]):
        size = (144, 180) if frame.startswith("c6") else (180, 320)
        picture(root / "frames" / f"{frame}.jpg", *size, seed=number)
    keys = {"c2s1_000176": "anno_file", "c2s1_001051": "anno_previous"}
    queries = [
        "479 -4.2000 20.0000 40.5000 80.5000 c1s1_001001",
        "484 30.0000 20.0000 40.0000 80.0000 c2s1_001051",
        "933 30.0000 20.0000 40.0000 80.0000 c6s3_001101",
    ]
    write_prw(root, train=train, test=test, queries=queries, keys=keys)
    return root


def small_prw_mini(root: Path) -> Path:
    """The frames that the 30 queries of PRW-mini are cut from, each a second time, and four to train on."""
    rows = [line.split() for line in MINI.read_text().splitlines()]
    asked = {frame: [[float(value) for value in values]] for *values, frame in rows}
    again = {f"c1s9_{number:06d}": boxes for number, boxes in enumerate(asked.values())}
    train = {f"c1s1_00000{n}": [[n % 2 + 1, 300, 200, 300, 700], [-2, 900, 200, 250, 700]] for n in range(4)}
    for number, (frame, boxes) in enumerate({**train, **asked, **again}.items()):
        x, y, width, height = (int(max(column)) for column in list(zip(*boxes, strict=True))[1:])
        picture(root / "frames" / f"{frame}.jpg", y + height + 8, x + width + 8, seed=number)
    write_prw(root, train=train, test={**asked, **again}, queries=["broken, and not read"])
    return root


def small_coco(root: Path) -> Path:
    """Own scenes: four pictures of persons 7 and 30 to train on, four of person 4 to search, two queries."""
    boxes = [[20 + 15 * number, 10, 24, 60] for number in range(8)]
    for part, first in (("train", 0), ("test", 4)):
        numbers = range(first, first + 4)
        people = {number: 4 if part == "test" else (7, 30)[number % 2] for number in numbers}
        content = {
            "images": [{"id": n, "file_name": f"{n}.png", "width": 192, "height": 96} for n in numbers],
            "annotations": [
                {"id": n, "image_id": n, "bbox": boxes[n], "person_id": people[n]} for n in numbers
            ],
        }
        root.mkdir(parents=True, exist_ok=True)
        (root / f"{part}.json").write_text(json.dumps(content))
        for number in numbers:
            picture(root / "images" / f"{number}.png", 96, 192, seed=number)
    queries = [{"id": 0, "annotation_id": 4}, {"id": 1, "annotation_id": 5, "gallery": [6, 7, 4]}]
    (root / "queries.json").write_text(json.dumps({"queries": queries}))
    return root
