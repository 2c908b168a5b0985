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
from typing import Any

import yaml
from filelock import FileLock, Timeout

from psearch import distributed
from psearch.files import replace_json, replace_text
from psearch.identity import differences
from psearch.records import RunRecord, read_config

log = logging.getLogger(__name__)

ROUND_S = 60.0
"""Seconds after which ranks that wait for the first one to get a directory hear that it is waiting still."""


def claim(directory: Path | str, config: dict[str, Any], *, wait_s: float = 10) -> Run:
    """Take a run directory for this process: a new one, or one that an earlier attempt of the same run left.

    config: resolved and plain (dicts, lists, numbers, strings); written to `config.yaml`. wait_s: how long to
    wait for another live process that holds the directory, negative for ever; a dead one holds nothing, but
    the loader processes of one that was killed live on for some seconds. Raises ValueError if another process
    keeps the directory, if it belongs to a run whose deciding config is another one, or if its `config.yaml`
    is broken; the directory is then left as it was. Of several ranks the first takes it for all.
    """
    directory = Path(directory)
    lock = FileLock(directory / "run.lock")
    patience = math.inf if wait_s < 0 else wait_s
    while not distributed.on_first_rank(partial(_take, directory, config, lock, min(patience, ROUND_S))):
        patience -= ROUND_S
        if patience <= 0:
            holder = _holder(directory)
            raise ValueError(
                f"{directory} is in use by {holder}: wait for it, stop it, or use another directory="
            )
    return Run(directory, config, lock)


def _take(directory: Path, config: dict[str, Any], lock: FileLock, wait_s: float) -> bool:
    directory.mkdir(parents=True, exist_ok=True)
    try:
        lock.acquire(timeout=wait_s)
    except Timeout:
        return False
    try:
        _settle_config(directory / "config.yaml", config)
        (directory / "run.lock").write_text(f"process {os.getpid()} on {socket.gethostname()}\n")
    except BaseException:
        lock.release()
        raise
    return True


class Run:
    """A claimed run directory; as a context manager it keeps `log.txt`, records failures, lets go at the end.

    An exception leaves `FAILED` (JSON: error, traceback) behind and goes on; success removes `FAILED`; an
    interruption (KeyboardInterrupt) is neither, the same command resumes. Of several ranks the first keeps
    the log; the one that failed leaves FAILED.
    """

    def __init__(self, directory: Path, config: dict[str, Any], lock: FileLock) -> None:
        self.directory = directory
        self.config = config
        self._lock = lock

    @property
    def finished(self) -> bool:
        """Whether the run has its results already: a sweep that is run again has nothing to do here."""
        return distributed.on_first_rank(lambda: is_finished(self.directory))

    @property
    def results(self) -> dict[str, Any] | None:
        """What `finish` wrote, or None; an unreadable file counts as none."""
        return distributed.on_first_rank(lambda: read_results(self.directory))

    def finish(self, results: dict[str, Any]) -> None:
        """Write `results.json` as a whole or not at all. ValueError names what does not belong there."""
        RunRecord.parse(results).write(self.directory)

    def __enter__(self) -> Run:
        self._log: logging.Handler = logging.NullHandler()
        if distributed.is_first():
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
            if error is None and distributed.is_first():
                (self.directory / "FAILED").unlink(missing_ok=True)
            elif isinstance(error, Exception) and not self._told(error):
                self._record(error)
        finally:
            logging.getLogger().removeHandler(self._log)
            self._log.close()
            self._lock.release()

    def _told(self, error: Exception) -> bool:
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


def read_results(directory: Path) -> dict[str, Any] | None:
    """The `results.json` of a run directory, or None; an unusable file counts as none."""
    record = RunRecord.read(directory)
    return None if record is None else record.to_json()


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
