"""What every tracker can do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Protocol


class Tracker(Protocol):
    """Keeps a run's numbers; a context manager that ends properly, well or with an exception."""

    @property
    def rows(self) -> int:
        """How many lines have been written so far, over all attempts of the run."""

    def log(self, values: Mapping[str, float], **axes: float) -> None:
        """One row of numbers at a place (`step=`, `epoch=`)."""

    def summary(self, values: Mapping[str, float]) -> None:
        """Numbers that hold for the run as a whole; a later value replaces an earlier one."""

    def table(self, name: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
        """A table of plain values."""

    def image(self, name: str, path: Path) -> None:
        """A picture that lies on disk."""

    def rewind(self, rows: int) -> None:
        """Forget all but the first `rows` lines: what was written after the checkpoint a run resumes from."""

    def __enter__(self) -> Tracker: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...
