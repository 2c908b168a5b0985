"""Files and folders that are there whole or not at all, with the mode that the umask says."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from filelock import FileLock

from psearch.files import is_held, kept, new_folder, replace_bytes, replace_json, unfinished, write_arrays
from psearch.records import RunRecord
from psearch.runs import checkpoint
from psearch.runs.directory import acquire
from tests.colleague import done_by_a_colleague, readable_folder


@pytest.fixture
def folder() -> Iterator[Path]:
    with readable_folder() as folder:
        yield folder


@pytest.fixture(params=[0o002, 0o022, 0o027, 0o077])
def umask(request: pytest.FixtureRequest) -> Iterator[int]:
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def test_everything_has_the_mode_that_the_umask_says(tmp_path: Path, umask: int) -> None:
    home = tmp_path / "home"
    with new_folder(home / "rendered") as inside:
        write_arrays(inside / "scenes.npz", {"a": np.zeros(3)})
    with acquire(home / "s" / "run", {"seed": 1}) as run:
        for number in (1, 2):
            checkpoint.save(run.directory, {"step": number, "network": {}}, best=True)
        run.finish(RunRecord.parse({"status": "ok"}))
    kept(home / "c" / "x.bin", lambda: b"x", write=replace_bytes, read=Path.read_bytes)
    found = {path: stat.S_IMODE(path.stat().st_mode) for path in (home, *home.rglob("*"))}
    assert len(found) > 12
    for path, mode in found.items():
        assert mode == (0o777 if path.is_dir() else 0o666) & ~umask, path


def reading(path: Path) -> bytes:
    if (content := path.read_bytes()) != b"whole":
        raise ValueError("not whole")
    return content


def keep(path: Path, make: Callable[[], bytes] = lambda: b"whole") -> bytes:
    return kept(path, make, write=replace_bytes, read=reading)


def test_what_is_kept_is_made_once_and_again_when_it_is_damaged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "folder" / "file"
    assert keep(path) == b"whole" and caplog.text == ""
    assert keep(path, lambda: pytest.fail("made twice")) == b"whole"
    path.write_bytes(b"who")
    assert keep(path) == b"whole" and path.read_bytes() == b"whole"
    assert "file cannot be used and is made again: not whole" in caplog.text


def test_a_full_disk_is_not_taken_for_a_read_only_one(tmp_path: Path) -> None:
    def full(path: Path, content: bytes) -> None:
        raise OSError(errno.ENOSPC, "No space left")

    with pytest.raises(OSError, match="No space"):
        kept(tmp_path / "x", lambda: b"", write=full, read=reading)


def test_what_a_killed_writer_left_of_a_folder_goes_with_the_next(tmp_path: Path) -> None:
    """Of that very name only, odd characters and all."""
    odd = tmp_path / "a[1]*"
    killed, others = tmp_path / ".a[1]*.0123abcd.tmp", tmp_path / ".a1x.0123abcd.tmp"
    for path in (killed, others):
        path.mkdir()
    with new_folder(odd):
        assert not killed.exists()
    assert {path.name for path in tmp_path.iterdir()} == {odd.name, others.name}


def test_a_run_that_was_killed_while_writing_leaves_nothing_to_its_next_attempt(tmp_path: Path) -> None:
    for name in ("new.pt", "results.json"):
        (tmp_path / f"{name}.0123abcd.tmp").touch()
    (tmp_path / "mine.tmp").touch()
    with acquire(tmp_path, {}):
        assert not unfinished(tmp_path) and (tmp_path / "mine.tmp").exists()
    replace_json(tmp_path / "results.json", {"status": "ok"})
    (tmp_path / "cost.json.0123abcd.tmp").touch()  # a comparison writes into a finished run
    with acquire(tmp_path, {}):
        assert unfinished(tmp_path)


def test_a_lock_is_held_or_not(tmp_path: Path) -> None:
    lock = tmp_path / "run.lock"
    assert not is_held(lock) and not lock.exists()
    with FileLock(lock):
        assert is_held(lock)
    assert not is_held(lock)


def test_a_colleague_uses_what_is_finished_and_is_told_what_is_not(folder: Path) -> None:
    """A teacher of somebody else, for instance."""
    config = {"seed": 1}
    with acquire(folder / "done", config) as run:
        checkpoint.save(run.directory, {"step": 7, "network": {}})
        run.finish(RunRecord.parse({"status": "ok", "metrics": {}}))
    with acquire(folder / "half", config):
        pass
    keep(folder / "cache" / "file")
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*") if "theirs" not in path.parts}

    def work() -> None:
        with acquire(folder / "done", config) as run:
            assert run.finished and not run.writable
            assert checkpoint.load(run.directory / "last.pt")["step"] == 7
        with pytest.raises(ValueError, match="another config"):
            acquire(folder / "done", {"seed": 2})
        for name in ("half", "new"):
            with pytest.raises(ValueError, match=f"{name} cannot be written .* not finished: set outputs="):
                acquire(folder / name, config)
        assert not is_held(folder / "done/run.lock")
        assert keep(folder / "cache" / "file") == b"whole"
        assert keep(folder / "cache" / "other") == b"whole" and not (folder / "cache" / "other").exists()

    assert done_by_a_colleague(folder, work) == ""
    assert before == {path: path.stat().st_mtime_ns for path in before}
