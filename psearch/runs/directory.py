"""A run directory: same arguments, same directory, resumed or refused, and used by one process at a time."""

from __future__ import annotations

import logging
import math
import os
import socket
import traceback
from contextlib import suppress
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Literal

import yaml
from filelock import FileLock, Timeout

from psearch import distributed
from psearch.files import REFUSED, replace_json, replace_text, unfinished
from psearch.identity import differences
from psearch.records import RESULTS, RunRecord, read_config
from psearch.runs import checkpoint

log = logging.getLogger(__name__)

ROUND_S = 60.0
"""Seconds after which ranks that wait for the first one to get a directory hear that it is waiting still."""


def acquire(directory: Path | str, config: dict[str, Any], *, wait_s: float = 10) -> Run:
    """Take a run directory for this process: a new one, or one that an earlier attempt of the same run left.

    config: resolved and plain (dicts, lists, numbers, strings); written to `config.yaml`. wait_s: how long to
    wait for another live process that holds the directory, negative for ever; a dead one holds nothing, but
    the loader processes of one that was killed live on for some seconds. A finished run that may only be read
    (a colleague's teacher) is used as it is. Of several ranks the first takes the directory for all.

    Raises ValueError if another process keeps the directory, if it belongs to a run whose deciding config is
    another one, if its `config.yaml` is broken, or if the run is not finished and this user may not write
    there; the directory is then left as it was.
    """
    directory = Path(directory)
    lock = FileLock(directory / "run.lock")
    patience = math.inf if wait_s < 0 else wait_s
    while True:
        taken = distributed.on_first_rank(partial(_take, directory, config, lock, min(patience, ROUND_S)))
        if taken is not None:
            return Run(directory, config, lock if taken == "held" else None)
        patience -= ROUND_S
        if patience <= 0:
            holder = _holder(directory)
            raise ValueError(
                f"{directory} is in use by {holder}: wait for it, stop it, or use another directory="
            )


def _take(
    directory: Path, config: dict[str, Any], lock: FileLock, wait_s: float
) -> Literal["held", "read-only"] | None:
    """How a directory was taken; None if another process holds it."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=wait_s)
    except Timeout:
        return None
    except OSError as error:
        if error.errno not in REFUSED:
            raise
        if not is_finished(directory):
            raise ValueError(
                f"{directory} cannot be written ({error.strerror}), and its run is not finished: set outputs="
            ) from error
        _settle_config(directory / "config.yaml", config)
        return "read-only"
    try:
        _settle_config(directory / "config.yaml", config)
        (directory / "run.lock").write_text(f"process {os.getpid()} on {socket.gethostname()}\n")
        if not is_finished(directory):  # else it may be a comparison's that is being written
            for litter in unfinished(directory):
                litter.unlink()
    except BaseException:
        lock.release()
        raise
    return "held"


class Run:
    """A run directory in use; as a context manager it keeps `log.txt`, records failures, lets go at the end.

    An exception leaves `FAILED` (JSON: error, traceback) behind and goes on; success removes `FAILED`; an
    interruption (KeyboardInterrupt) is neither, the same command resumes. Of several ranks the first keeps
    the log; the one that failed leaves FAILED. lock: None for a run that may only be read; nothing is
    written then.
    """

    def __init__(self, directory: Path, config: dict[str, Any], lock: FileLock | None) -> None:
        self.directory = directory
        self.config = config
        self._lock = lock

    @property
    def writable(self) -> bool:
        """Whether this process may write here; else the run is finished, and somebody else's."""
        return self._lock is not None

    @property
    def finished(self) -> bool:
        """Whether the run has its results already: a sweep that is run again has nothing to do here."""
        return distributed.on_first_rank(lambda: is_finished(self.directory))

    @property
    def record(self) -> RunRecord | None:
        """What `finish` wrote, or None; an unusable file counts as none."""
        return distributed.on_first_rank(lambda: RunRecord.read(self.directory))

    def reopen(self) -> None:
        """Unfinish a run whose last checkpoint is damaged: it goes on from the one before, or anew."""
        (self.directory / RESULTS).unlink(missing_ok=True)
        for path in (self.directory / name for name in (checkpoint.LAST, checkpoint.PREVIOUS)):
            if path.exists() and checkpoint.damage(path):
                path.unlink()

    def set_aside(self) -> Path:
        """Move all that the run has made to `.replaced/` beside it: it starts anew. Returns the place."""
        home, number = self.directory.parent / ".replaced", 1
        while (place := home / f"{self.directory.name}-{number}").exists():
            number += 1
        place.mkdir(parents=True)
        for path in self.directory.iterdir():
            if path.name != "run.lock":
                path.rename(place / path.name)
        _settle_config(self.directory / "config.yaml", self.config)
        return place

    def finish(self, record: RunRecord) -> None:
        """Write `results.json` as a whole or not at all."""
        record.write(self.directory)

    def __enter__(self) -> Run:
        self._log: logging.Handler = logging.NullHandler()
        if distributed.is_first() and self.writable:
            self._log = logging.FileHandler(self.directory / "log.txt", encoding="utf-8")
        self._failed_before = _stamp(self.directory / "FAILED")
        self._log.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
        logging.getLogger().addHandler(self._log)
        logger = logging.getLogger("psearch")
        if logger.level == logging.NOTSET:
            logger.setLevel(logging.INFO if distributed.is_first() else logging.ERROR)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if not self.writable:
                return
            if error is None and distributed.is_first():
                (self.directory / "FAILED").unlink(missing_ok=True)
            elif isinstance(error, Exception) and not self._already_recorded(error):
                self._record(error)
        finally:
            logging.getLogger().removeHandler(self._log)
            self._log.close()
            if self._lock is not None:
                self._lock.release()

    def _already_recorded(self, error: Exception) -> bool:
        """Whether the rank that failed has left word of it: the loss of that rank is not what went wrong."""
        if isinstance(error, distributed.RankLost):
            return not distributed.is_first() or _stamp(self.directory / "FAILED") != self._failed_before
        return getattr(error, "of_first", False)

    def _record(self, error: Exception) -> None:
        reason = f"{type(error).__name__}: {error}".strip()
        if not distributed.is_first():
            reason = f"rank {distributed.current_rank().number}: {reason}"
        text = "".join(traceback.format_exception(error))
        log.error("failed: %s", reason)
        try:
            replace_json(self.directory / "FAILED", {"error": reason.splitlines()[0], "traceback": text})
        except OSError as trouble:  # a full disk must not hide what went wrong first
            log.error("cannot write %s: %s", self.directory / "FAILED", trouble)


def is_finished(directory: Path) -> bool:
    """Whether a run directory has its results."""
    return RunRecord.read(directory) is not None


def _settle_config(path: Path, config: dict[str, Any]) -> None:
    if not path.exists():
        replace_text(path, yaml.safe_dump(config, sort_keys=False, allow_unicode=True))
        return
    changed = differences(_read_config(path), config)
    if changed:
        raise ValueError(
            f"{path.parent} holds a run with another config: {'; '.join(changed)}. Use another "
            "directory= (null gives each config its own), or remove that one to start anew"
        )


def _read_config(path: Path) -> dict[str, Any]:
    try:
        return read_config(path)
    except ValueError as error:
        raise ValueError(_broken(path, str(error))) from error


def _broken(path: Path, reason: str) -> str:
    return (
        f"cannot tell which run {path.parent} holds, {path.name} is broken ({reason}): restore that file, or "
        "remove the directory to start the run anew"
    )


def _stamp(path: Path) -> tuple[int, int] | None:
    """What changes when a file is replaced."""
    with suppress(OSError):
        return path.stat().st_ino, path.stat().st_mtime_ns
    return None


def _holder(directory: Path) -> str:
    return (directory / "run.lock").read_text().strip() or "another process"
