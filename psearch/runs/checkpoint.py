"""Checkpoints that survive a kill, a full disk and a damaged file.

`last.pt` is the newest, `previous.pt` the one before it, `best.pt` the best validated. All hold plain
containers and tensors only, and nothing in them is ever executed (`weights_only=True`).
"""

from __future__ import annotations

import logging
import os
import re
import shutil
from pathlib import Path
from typing import Any

import torch

from psearch.files import replace
from psearch.runs.foreign import imported

log = logging.getLogger(__name__)

LAST, PREVIOUS, BEST = "last.pt", "previous.pt", "best.pt"


def save(directory: Path, state: dict[str, Any], *, best: bool = False) -> None:
    """Make `state` the last checkpoint, keep the one before as `previous.pt`, and, if best, as `best.pt` too.

    Raises OSError with a message for the user if it cannot be written (disk full, directory gone); the
    checkpoints that are there stay as they are.
    """
    last = directory / LAST
    try:
        if last.exists():
            _share(last, directory / PREVIOUS)
        replace(last, lambda file: torch.save(state, file))
        if best:
            _share(last, directory / BEST)
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
    ValueError if it is missing, broken or of no known kind."""
    state = _read(path)
    return state if isinstance(state, dict) and "network" in state else imported(state, path)


def _read(path: Path | str) -> Any:
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise ValueError(f"there is no checkpoint {path}: check the path") from None
    except IsADirectoryError:
        raise ValueError(f"the checkpoint {path} is a folder: name the file in it") from None
    except Exception as error:  # a damaged file surfaces as nearly anything
        raise ValueError(_unreadable(path, error)) from error


def _unreadable(path: Path | str, error: Exception) -> str:
    """What to say of a file that torch refuses; torch's own words advise to switch its protection off."""
    foreign = re.search(r"GLOBAL (\S+)", str(error))
    if foreign:
        return (
            f"the checkpoint {path} holds a Python object ({foreign[1]}), and to read one is to run what the "
            "file says: psearch reads tensors and plain values only. Write the weights alone, where the file "
            "comes from: torch.save({'model': model.state_dict()}, FILE)"
        )
    told = str(error).strip().splitlines() or [type(error).__name__]
    reason = "it is no file of torch.save" if "weights_only" in told[0] else told[0].partition(".")[0]
    return f"the checkpoint {path} cannot be read ({reason}): it is cut short, damaged or no checkpoint"


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


def _share(source: Path, target: Path) -> None:
    """Give a file a second name, replacing what had that name; a copy where there are no hard links."""
    temporary = target.with_name(target.name + ".tmp")
    temporary.unlink(missing_ok=True)
    try:
        try:
            os.link(source, temporary)
        except OSError:
            shutil.copyfile(source, temporary)
        os.replace(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)


def _reason(error: BaseException) -> str | None:
    link: BaseException | None = error
    while link is not None and not isinstance(link, OSError):
        link = link.__cause__ or link.__context__
    return None if link is None else link.strerror or str(link)
