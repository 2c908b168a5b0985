"""Writing a file so that a reader, or the next run, sees the old one or the new one, never half of it."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO
from uuid import uuid4


def replace(path: Path, write: Callable[[BinaryIO], object]) -> None:
    """Let `write` fill a new file beside `path`, flush it to the disk, then put it in `path`'s place.

    A failure leaves `path` as it was and no litter. The temporary name is the writer's own: two comparisons
    of one study may write at once, and the last one's file stays.
    """
    temporary = path.with_name(f"{path.name}.{uuid4().hex[:8]}.tmp")
    try:
        with open(temporary, "wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def replace_text(path: Path, text: str) -> None:
    """`replace` with a text, as UTF-8."""
    replace(path, lambda file: file.write(text.encode()))


def replace_json(path: Path, content: Any) -> None:
    """`replace` with readable JSON; numbers that JSON does not have (nan, inf) are an error."""
    replace_text(path, json.dumps(content, indent=1, allow_nan=False) + "\n")
