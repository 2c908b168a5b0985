"""Metrics as JSON lines: `metrics.jsonl`, one line per call, on disk as soon as it is logged."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Any

from psearch.tracking.tracker import Picture

FILE = "metrics.jsonl"


class JsonLines:
    """The tracker that needs nothing: a line per row, `{"epoch": 1.5, "step": 30, "train/total": 2.1}`.

    Numbers JSON does not have (nan, inf) become null. A line that a kill cut short is dropped on opening.
    What the run is (config, study, …) stands in its directory already and is not repeated.
    """

    def __init__(
        self,
        *,
        directory: Path | str,
        config: Mapping[str, Any] | None = None,
        study: str | None = None,
        name: str | None = None,
        tags: Sequence[str] = (),
        job_type: str | None = None,
    ) -> None:
        self.path = Path(directory) / FILE
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.touch()
        self.rewind(self.rows)
        self._file = self.path.open("ab", buffering=0)

    @property
    def rows(self) -> int:
        return self.path.read_bytes().count(b"\n")

    def log(self, values: Mapping[str, float], **axes: float) -> None:
        self._write({**axes, **{name: _number(value) for name, value in values.items()}})

    def summary(self, values: Mapping[str, float | str]) -> None:
        self._write({"summary": {name: _number(value) for name, value in values.items()}})

    def table(
        self,
        name: str,
        columns: Sequence[str],
        rows: Sequence[Sequence[object]],
        *,
        bar: tuple[str, str] | None = None,
        scatter: tuple[str, str] | None = None,
    ) -> None:
        plain = [[_number(value) for value in row] for row in rows]
        self._write({"table": name, "columns": list(columns), "rows": plain})

    def images(self, name: str, pictures: Sequence[Picture]) -> None:
        self._write({"images": name, "pictures": [{**asdict(p), "path": str(p.path)} for p in pictures]})

    def checkpoint(self, path: Path) -> None:
        """It lies in the run's directory already."""

    def rewind(self, rows: int) -> None:
        """One truncation, so a kill leaves the file before or after it."""
        lines = self.path.read_bytes().splitlines(keepends=True)
        with self.path.open("r+b") as file:
            file.truncate(sum(map(len, lines[:rows])))

    def __enter__(self) -> JsonLines:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def _write(self, row: Mapping[str, object]) -> None:
        line = json.dumps(row, allow_nan=False).encode() + b"\n"
        try:
            while line:
                line = line[self._file.write(line) :]
        except OSError as error:
            raise OSError(
                f"cannot write {self.path}: {error.strerror}. Make room and run the same command again"
            ) from error


def read_summary(directory: Path) -> dict[str, Any]:
    """What the summaries of a run's `metrics.jsonl` say in the end; empty if there is none."""
    path = directory / FILE
    found: dict[str, Any] = {}
    for line in path.read_text(errors="replace").splitlines() if path.exists() else ():
        with suppress(ValueError, RecursionError, AttributeError, TypeError):  # cut short, or damaged
            found |= json.loads(line).get("summary", {})
    return found


def _number(value: Any) -> Any:
    """A plain value: numpy's and torch's scalars as Python's, what JSON cannot hold as None."""
    value = value.item() if hasattr(value, "item") else value
    return None if isinstance(value, float) and not math.isfinite(value) else value
