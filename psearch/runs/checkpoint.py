"""Checkpoints that survive a kill, a full disk and a damaged file.

`last.pt` is the newest, `previous.pt` the one before it, `best.pt` the best validated. All hold plain
containers and tensors only, and nothing in them is ever executed (`weights_only=True`).
"""

from __future__ import annotations

import logging
import os
import shutil
from pathlib import Path
from typing import Any

import torch

from psearch.files import replace

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
    """Read one checkpoint file onto the CPU; ValueError if it is missing or broken."""
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise ValueError(f"there is no checkpoint {path}: check the path") from None
    except Exception as error:  # a damaged file surfaces as nearly anything
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ValueError(
            f"the checkpoint {path} cannot be read ({reason}): it is damaged or not ours"
        ) from error
    if not isinstance(state, dict):
        raise ValueError(f"the checkpoint {path} is not ours: it holds a {type(state).__name__}")
    return state


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
