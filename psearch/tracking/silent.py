"""A tracker that keeps nothing: for the ranks of a training that do not write."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from psearch.tracking.tracker import Picture


class Silent:
    """See `Tracker`; the first rank's tracker keeps the same numbers."""

    rows = 0

    def __init__(self, **facts: object) -> None: ...

    def log(self, values: Mapping[str, float], **axes: float) -> None: ...

    def summary(self, values: Mapping[str, float | str]) -> None: ...

    def table(
        self, name: str, columns: Sequence[str], rows: Sequence[Sequence[object]], **charts: object
    ) -> None: ...

    def images(self, name: str, pictures: Sequence[Picture]) -> None: ...

    def checkpoint(self, path: Path) -> None: ...

    def rewind(self, rows: int) -> None: ...

    def __enter__(self) -> Silent:
        return self

    def __exit__(self, *_: object) -> None: ...
