"""What a training starts from, as a config says it: a checkpoint, known by its content, not its path."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def with_fingerprint(student: Mapping[str, Any]) -> dict[str, Any]:
    """The node of a student with `start: FILE` as `start: {checkpoint: FILE, fingerprint: 12 hex digits}`:
    the same file elsewhere is the same run, another file under the same name another one. ValueError if there
    is no such file."""
    start = student.get("start")
    if not isinstance(start, str):
        return dict(student)
    try:
        digest = hashlib.sha256(Path(start).read_bytes()).hexdigest()
    except OSError as error:
        raise ValueError(f"student.start={start} cannot be read ({error.strerror}): check the path") from None
    return {**student, "start": {"checkpoint": start, "fingerprint": digest[:12]}}
