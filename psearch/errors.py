"""Errors a person can read: which ones are the user's to mend, and each in one line."""

from __future__ import annotations

import pickle
import re
from collections.abc import Iterator
from contextlib import contextmanager

from hydra.errors import HydraException
from omegaconf.errors import OmegaConfBaseException

CONFIG_ERRORS = (HydraException, OmegaConfBaseException)

MISTAKES = (ValueError, OSError, FloatingPointError, *CONFIG_ERRORS)
"""Errors whose text tells a user what to do; any other is a defect and keeps its traceback."""


def message(error: BaseException) -> str:
    """An error in one line: what a constructor said about its arguments, not that Hydra called it."""
    while isinstance(error, CONFIG_ERRORS) and error.__cause__ is not None:
        error = error.__cause__
    return re.sub(r"\s*\n\s*", "; ", str(error).strip()) or type(error).__name__


@contextmanager
def portable() -> Iterator[None]:
    """Errors of a job in a form that reaches the process that launched it.

    An exception that cannot be pickled there and back would bring down the whole sweep, and a config
    error loses on the way the cause that explains it.
    """
    try:
        yield
    except CONFIG_ERRORS as error:
        raise ValueError(message(error)) from error
    except Exception as error:
        try:
            pickle.loads(pickle.dumps(error))
        except Exception:
            raise RuntimeError(f"{type(error).__name__}: {error}") from error
        raise
