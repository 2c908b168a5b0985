"""How far a long work is: a bar on a terminal, a dated line every so often in a log."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Mapping
from contextlib import ExitStack
from datetime import timedelta

from tqdm import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm

log = logging.getLogger(__name__)


def _disable() -> bool | None:
    """No bar where TQDM_DISABLE says so (several processes on one terminal) or where there is no terminal."""
    return True if os.environ.get("TQDM_DISABLE") else None


class Progress:
    """A context manager for `total` steps of which `done` are behind us.

    every_s: least seconds between two lines in the log.
    """

    def __init__(self, name: str, *, total: int, done: int = 0, every_s: float = 30) -> None:
        self._name, self._total, self._every_s = name, total, every_s
        self._first = self._done = done
        self._values = ""
        self._start = self._logged = time.monotonic()

    def __enter__(self) -> Progress:
        with ExitStack() as stack:
            stack.enter_context(logging_redirect_tqdm())
            bar = tqdm(desc=self._name, total=self._total, initial=self._done, disable=_disable())
            self._bar = stack.enter_context(bar)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def show(self, values: Mapping[str, float]) -> None:
        """The numbers to print from now on."""
        self._values = " ".join(f"{name}={value:.4g}" for name, value in values.items())
        self._bar.set_postfix_str(self._values, refresh=False)

    def advance(self) -> None:
        """One step more is done."""
        self._done += 1
        self._bar.update()
        now = time.monotonic()
        if now - self._logged >= self._every_s:
            self._logged = now
            log.info(self._line(now - self._start))

    def _line(self, elapsed: float) -> str:
        rate = (self._done - self._first) / elapsed
        left = timedelta(seconds=round((self._total - self._done) / rate))
        return f"{self._name} {self._done}/{self._total}, {rate:.2f} steps/s, {left} left, {self._values}"
