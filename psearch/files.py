"""Files and folders that are there whole or not at all: a reader sees the old one or the new one.

Everything is written with the mode that the umask says, so that colleagues may read what one of them made.
"""

from __future__ import annotations

import errno
import fcntl
import json
import logging
import os
import shutil
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from glob import escape
from pathlib import Path
from typing import Any, BinaryIO, TypeVar
from uuid import uuid4

import numpy as np

log = logging.getLogger(__name__)

T = TypeVar("T")

REFUSED = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})
"""What the system answers where this user may not write."""


def replace(path: Path, write: Callable[[BinaryIO], object]) -> Path:
    """Let `write` fill a new file beside `path`, flush it to the disk, then put it in `path`'s place.

    A failure leaves `path` as it was and no litter. The temporary name is the writer's own: two comparisons
    of one study may write at once, and the last one's file stays. Returns `path`.
    """
    temporary = _temporary(path)
    try:
        with open(temporary, "wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    return path


def replace_bytes(path: Path, content: bytes) -> Path:
    """`replace` with bytes."""
    return replace(path, lambda file: file.write(content))


def replace_text(path: Path, text: str) -> Path:
    """`replace` with a text, as UTF-8."""
    return replace_bytes(path, text.encode())


def replace_json(path: Path, content: Any) -> Path:
    """`replace` with readable JSON; numbers that JSON does not have (nan, inf) are an error."""
    return replace_text(path, json.dumps(content, indent=1, allow_nan=False) + "\n")


def write_arrays(path: Path, arrays: Mapping[str, Any]) -> Path:
    """`replace` with a `.npz` of plain arrays."""
    return replace(path, lambda file: np.savez(file, allow_pickle=False, **arrays))


def read_arrays(path: Path, names: Iterable[str]) -> dict[str, np.ndarray]:
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


def kept(
    path: Path, make: Callable[[], T], *, write: Callable[[Path, T], object], read: Callable[[Path], T]
) -> T:
    """What `make` gives, kept at `path` for the next time; a file there that is damaged is made again.

    read: raises ValueError or OSError for a damaged file. Where nothing may be written (a colleague's
    outputs, a read-only disk) it is made and not kept.
    """
    try:
        return read(path)
    except FileNotFoundError:
        pass
    except (ValueError, OSError) as error:
        log.warning("%s cannot be used and is made again: %s", path, error)
    made = make()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write(path, made)
    except OSError as error:
        if error.errno not in REFUSED:
            raise
        log.info("not kept for the next time, %s cannot be written: %s", path, error.strerror)
    return made


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """A block that fills a new folder beside `path`, which gets that name when the block has succeeded.

    Nothing is left of a failure, nor of an earlier writer of that name that was killed: the caller's lock
    sees to it that there is one at a time. OSError if `path` is there by then.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    for litter in unfinished(path.parent, escape(f".{path.name}")):
        shutil.rmtree(litter, ignore_errors=True)
    temporary = _temporary(path.with_name(f".{path.name}"))
    temporary.mkdir()
    try:
        yield temporary
        os.rename(temporary, path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def is_held(lock: Path) -> bool:
    """Whether a process holds a lock file; also of a colleague's, which this user can read and not write."""
    try:
        with lock.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False


def _temporary(path: Path) -> Path:
    return path.with_name(f"{path.name}.{uuid4().hex[:8]}.tmp")


def unfinished(folder: Path, name: str = "*") -> list[Path]:
    """What is being written in a folder under names of this pattern, or was when its writer was killed."""
    return sorted(folder.glob(f"{name}.{'[0-9a-f]' * 8}.tmp"))
