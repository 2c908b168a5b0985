"""Named plain arrays in a `.npz`, there whole or not."""

from __future__ import annotations

import os
import tempfile
import zipfile
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np


def save(path: Path, arrays: Mapping[str, Any]) -> None:
    """Write the arrays, in place of what was there."""
    with tempfile.NamedTemporaryFile(dir=path.parent, suffix=".npz", delete=False) as file:
        temporary = Path(file.name)
        try:
            np.savez(file, **arrays)
        except BaseException:
            temporary.unlink()
            raise
    os.replace(temporary, path)


def load(path: Path, names: Iterable[str]) -> dict[str, np.ndarray]:
    """The arrays of these names. ValueError for a file that is missing, damaged or lacks one."""
    wanted = list(names)
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in wanted if name in file}
    except (ValueError, EOFError, OSError, TypeError, zipfile.BadZipFile, zlib.error) as error:
        raise ValueError(f"{path}: not a readable .npz of plain arrays ({error})") from error
    missing = [name for name in wanted if name not in arrays]
    if missing:
        raise ValueError(
            f"{path}: lacks the arrays {', '.join(missing)}; it has {', '.join(arrays) or 'none'}"
        )
    return arrays
