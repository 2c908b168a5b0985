"""What every tracker can do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Protocol


@dataclass(frozen=True)
class Frame:
    """A box to draw: xyxy, pixels of the picture it is drawn in. label: what it is a case of ("right")."""

    box: tuple[float, float, float, float]
    label: str
    caption: str = ""


@dataclass(frozen=True)
class Picture:
    """A picture that lies on disk, and the boxes that belong in it."""

    path: Path
    caption: str = ""
    frames: tuple[Frame, ...] = ()


class Tracker(Protocol):
    """Keeps a run's numbers; a context manager that ends properly, well or with an exception."""

    @property
    def rows(self) -> int:
        """How many lines have been written so far, over all attempts of the run."""

    def log(self, values: Mapping[str, float], **axes: float) -> None:
        """One row of numbers at a place (`step=`, `epoch=`)."""

    def summary(self, values: Mapping[str, float | str]) -> None:
        """Facts that hold for the run as a whole; a later value replaces an earlier one."""

    def table(
        self,
        name: str,
        columns: Sequence[str],
        rows: Sequence[Sequence[object]],
        *,
        bar: tuple[str, str] | None = None,
        scatter: tuple[str, str] | None = None,
    ) -> None:
        """A table of plain values. bar: the columns (label, value), scatter: (x, y), of the charts to draw of
        it, where the tracker draws."""

    def images(self, name: str, pictures: Sequence[Picture]) -> None:
        """Pictures that belong together."""

    def checkpoint(self, path: Path) -> None:
        """The trained weights, for a tracker that keeps them."""

    def rewind(self, rows: int) -> None:
        """Forget all but the first `rows` lines: what was written after the checkpoint a run resumes from."""

    def __enter__(self) -> Tracker: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


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
