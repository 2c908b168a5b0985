"""Which jobs were submitted for a study: `<study>/slurm/jobs.jsonl`, one line per job."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock

from psearch.files import replace_text
from psearch.records import located
from psearch.runs.places import outputs_of

COMPARISON = "comparison"


@dataclass(frozen=True)
class Entry:
    """One submitted job.

    job: SLURM's id. name: of the run, of the teacher's training, or "comparison". directory: of the run.
    trains: the keys of the teachers it trains. overrides, hydra: the command again. code: the frozen copy.
    log: where its output goes. time: of submission, seconds since 1970. Paths as `places.recorded` has them.
    """

    job: str
    name: str
    directory: str | None
    trains: tuple[str, ...]
    overrides: tuple[str, ...]
    hydra: tuple[str, ...]
    code: str
    log: str
    time: float


class Ledger:
    """The jobs of one study; a later entry of the same name is a later attempt."""

    def __init__(self, study: Path) -> None:
        self.study = study
        self.folder = study / "slurm"
        self.path = self.folder / "jobs.jsonl"

    def entries(self) -> list[Entry]:
        """All attempts, oldest first; none if nothing was submitted."""
        if not self.path.exists():
            return []
        return [_entry(line) for line in self.path.read_text().splitlines()]

    def located(self, record: str) -> Path:
        """Where something lies that an entry names."""
        return located(record, outputs_of(self.study))

    def latest(self) -> dict[str, Entry]:
        """The last attempt of each name."""
        return {entry.name: entry for entry in self.entries()}

    def add(self, entries: list[Entry]) -> None:
        """Append, as a whole or not at all; the caller holds `open`."""
        lines = [json.dumps(asdict(entry)) for entry in [*self.entries(), *entries]]
        replace_text(self.path, "".join(f"{line}\n" for line in lines))

    @contextmanager
    def open(self) -> Iterator[Ledger]:
        """Alone with the ledger: two submissions of a study at once do not both start its jobs."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self.folder.chmod(0o700)  # submitit keeps its pickled jobs here, and unpickles them in the job
        with FileLock(self.folder / "lock"):
            yield self


def _entry(line: str) -> Entry:
    fields: dict[str, Any] = json.loads(line)
    lists: dict[str, Any] = {key: tuple(fields[key]) for key in ("trains", "overrides", "hydra")}
    return Entry(**fields | lists)


def all_ledgers(home: Path) -> list[Ledger]:
    """Those of all studies in a folder of outputs."""
    return [Ledger(path.parent.parent) for path in sorted(home.glob("*/slurm/jobs.jsonl"))]
