"""Checkpoints that survive a kill, a full disk and a damaged file.

`last.pt` is the newest, `previous.pt` the one before it, `best.pt` the best validated; no two share a byte on
the disk. All hold plain containers and tensors only, and nothing in them is ever executed
(`weights_only=True`). They are what `torch.save` writes: a zip that keeps a CRC-32 of every tensor. torch
writes it and never looks at it again; here it is held against the content before every load.
"""

from __future__ import annotations

import logging
import os
import re
import shutil
import zipfile
from pathlib import Path
from typing import Any, BinaryIO

import torch

from psearch.files import replace
from psearch.runs.foreign import imported

log = logging.getLogger(__name__)

LAST, PREVIOUS, BEST = "last.pt", "previous.pt", "best.pt"
NEW = "new.pt"
"""Whole, and about to become the last."""

ZIP = b"PK\x03\x04"
"""What such a file begins with; torch goes by it too."""


def save(directory: Path, state: dict[str, Any], *, best: bool = False) -> None:
    """Make `state` the last checkpoint, keep the one before as `previous.pt`, and, if best, as `best.pt` too.

    Raises OSError with a message for the user if it cannot be written (disk full, directory gone); the
    checkpoints that are there stay as they are.
    """
    last = directory / LAST
    try:
        new = replace(directory / NEW, lambda file: torch.save(state, file))
        if last.exists():
            os.replace(last, directory / PREVIOUS)  # killed here: the one before is the newest
        os.replace(new, last)
        if best:
            replace(directory / BEST, lambda file: _copy(last, file))
    except (OSError, RuntimeError) as error:  # torch wraps the OSError of the file it writes to
        reason = _reason(error)
        if reason is None:
            raise
        raise OSError(
            f"cannot write the checkpoint {last}: {reason}. What was saved before is intact: make "
            "room and run the same command again, it goes on from there"
        ) from error


def load(path: Path | str) -> dict[str, Any]:
    """Read one checkpoint file onto the CPU, ours or one that `psearch.runs.importers` can turn into ours;
    ValueError if it is missing, broken in any byte or of no known kind."""
    state = _read(path)
    return state if isinstance(state, dict) and "network" in state else imported(state, path)


def _read(path: Path | str) -> Any:
    try:
        with open(path, "rb") as file:
            checked = _has_checksums(file)
            state = torch.load(file, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise ValueError(f"there is no checkpoint {path}: check the path") from None
    except IsADirectoryError:
        raise ValueError(f"the checkpoint {path} is a folder: name the file in it") from None
    except PermissionError as error:
        raise ValueError(f"the checkpoint {path} may not be read by this user: {error.strerror}") from error
    except Exception as error:  # a damaged file surfaces as nearly anything
        raise ValueError(_unreadable(path, error)) from error
    if not checked:
        log.warning("%s has no checksums, torch wrote none before 1.6: damage would go unnoticed", path)
    return state


def _unreadable(path: Path | str, error: Exception) -> str:
    """What to say of a file that torch refuses; torch's own words advise to switch its protection off."""
    foreign = re.search(r"GLOBAL (\S+)", str(error))
    if foreign:
        return (
            f"the checkpoint {path} cannot be read: it holds a Python object ({foreign[1]}), and to read one "
            "is to run what the file says. Write the weights alone, where the file comes from: "
            "torch.save({'model': model.state_dict()}, FILE)"
        )
    told = (str(error).strip() or type(error).__name__).splitlines()[0]
    reason = "it is no file of torch.save" if "weights_only" in told or "Weights only" in told else told
    return f"the checkpoint {path} cannot be read ({reason}): it is damaged or not ours"


def damage(path: Path | str) -> str | None:
    """Why nothing can go on from a checkpoint (missing, or not as it was written); None for a whole one."""
    try:
        load(path)
    except ValueError as error:
        return str(error)
    return None


def resume(directory: Path) -> dict[str, Any] | None:
    """The newest readable checkpoint of a run directory, or None if it has none yet.

    A damaged `last.pt` gives a warning and `previous.pt`; ValueError if neither can be read.
    """
    present = [path for path in (directory / LAST, directory / PREVIOUS) if path.exists()]
    for path in present:
        try:
            return load(path)
        except ValueError as error:
            log.warning("%s; trying the checkpoint before it", error)
    if present:
        raise ValueError(
            f"no checkpoint in {directory} can be read ({', '.join(path.name for path in present)}): remove "
            "them to train from the start, or restore one"
        )
    return None


def _has_checksums(file: BinaryIO) -> bool:
    """Hold a checkpoint against its checksums; then back to its beginning. False if it has none."""
    is_zip = file.read(len(ZIP)) == ZIP
    if is_zip:
        with zipfile.ZipFile(file) as parts:
            wrong = parts.testzip()
            odd = [part.filename for part in parts.infolist() if part.external_attr]
        if odd:  # torch writes none, and returns unset memory for what has that of a folder
            raise ValueError(f"{odd[0]} has attributes of a folder")
        if wrong is not None:
            raise ValueError(f"the checksum of {wrong} is wrong")
    file.seek(0)
    return is_zip


def _copy(source: Path, target: BinaryIO) -> None:
    with source.open("rb") as file:
        shutil.copyfileobj(file, target)


def _reason(error: BaseException) -> str | None:
    link: BaseException | None = error
    while link is not None and not isinstance(link, OSError):
        link = link.__cause__ or link.__context__
    return None if link is None else link.strerror or str(link)
