"""MATLAB files with errors a user can act on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from scipy.io import loadmat


def read(file: Path, *variables: str) -> np.ndarray:
    """The first of `variables` that a .mat file holds. ValueError for a missing or unreadable file."""
    if not file.is_file():
        raise ValueError(f"There is no file {file}: set data.root to the folder that holds it.")
    try:
        content = loadmat(file)
    except Exception as error:  # scipy lets struct, zlib, index and type errors of broken files through
        raise ValueError(f"The file {file} cannot be read ({error}): restore the original file.") from error
    for variable in variables:
        if variable in content:
            return np.asarray(content[variable])
    raise ValueError(
        f"The file {file} holds no variable {' or '.join(variables)}: restore the original file."
    )


@contextmanager
def published_layout(file: Path) -> Iterator[None]:
    """Turns what goes wrong inside, while records are taken apart, into a ValueError that names the file."""
    try:
        yield
    except (ValueError, IndexError, KeyError, TypeError) as error:
        raise ValueError(
            f"{file} is not laid out as published ({error}): restore the original file."
        ) from error
