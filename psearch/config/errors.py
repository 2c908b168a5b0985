"""Errors a person can read: which ones are the user's to mend, and each in one line."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf.errors import OmegaConfBaseException

CONFIG_ERRORS = (HydraException, OmegaConfBaseException)

MISTAKES = (ValueError, OSError, FloatingPointError, *CONFIG_ERRORS)
"""Errors whose text tells a user what to do; any other is a defect and keeps its traceback."""


ONE_LINE: ContextVar[bool] = ContextVar("ONE_LINE", default=False)
"""Whether this process was started by a user who wants mistakes told in one line, not as a traceback."""


def message(error: BaseException) -> str:
    """An error in one line: what a constructor said about its arguments, not that Hydra called it."""
    while isinstance(error, CONFIG_ERRORS) and error.__cause__ is not None:
        error = error.__cause__
    return re.sub(r"\s*\n\s*", "; ", str(error).strip()) or type(error).__name__


@contextmanager
def portable() -> Iterator[None]:
    """Errors of a job in a form that reaches the process that launched it.

    An exception that cannot be pickled there and back would bring down the whole sweep, and a config
    error loses on the way the cause that explains it. A mistake in a single run ends the program here, in one
    line: Hydra would print a line of its own first.
    """
    try:
        yield
    except Exception as error:
        if isinstance(error, MISTAKES) and ONE_LINE.get() and _single_run():
            raise SystemExit(f"error: {message(error)}") from error
        carried = _carried(error)
        if carried is error:
            raise
        raise carried from error


def _single_run() -> bool:
    return HydraConfig.initialized() and HydraConfig.get().mode == RunMode.RUN


def _carried(error: Exception) -> Exception:
    """The error itself, or its text where it would not survive the way."""
    if isinstance(error, CONFIG_ERRORS):
        return ValueError(message(error))
    from psearch.distributed import picklable  # loads torch, which help does without

    return picklable(error)
