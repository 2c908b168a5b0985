"""Lists of JSON objects read with errors that name the file, the object and the key."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

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
