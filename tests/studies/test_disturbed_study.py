"""Whatever happens to the processes of a study: what was finished is intact, the same command completes it,
and its comparison is that of an undisturbed one."""

from __future__ import annotations

import itertools
import os
import random
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from psearch.launch.plan import Job
from psearch.runs import checkpoint
from tests.engine.attempts import attempt, begin, end, jobs, outcome, output_of, study

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="the system cannot fork")


SIGNALS = [signal.SIGTERM, signal.SIGUSR2, signal.SIGKILL]


@pytest.fixture(scope="module")
def todo() -> tuple[Job, ...]:
    return jobs()


@pytest.fixture(scope="module")
def undisturbed(todo: tuple[Job, ...], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("undisturbed")
    assert attempt(folder, partial(study, todo)) == 0, output_of(folder).read_text()
    return folder


@pytest.fixture
def folder(undisturbed: Path, tmp_path: Path) -> Path:
    """A fresh place that has the pictures already."""
    shutil.copytree(undisturbed / "outputs/data", tmp_path / "outputs/data")
    return tmp_path


def die_at(count: int, signum: int) -> None:
    """From now on this process gets a signal when it makes a file final for the `count`-th time: before that
    on even counts, right after it on odd ones."""
    calls = itertools.count(count, -1)

    def fatal(function: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            last = next(calls) == 0
            if last and count % 2 == 0:
                os.kill(os.getpid(), signum)
            answer = function(*args, **kwargs)
            if last and count % 2:
                os.kill(os.getpid(), signum)
            return answer

        return wrapped

    for name in ("replace", "fsync", "link"):
        setattr(os, name, fatal(getattr(os, name)))


@pytest.mark.parametrize("signum", SIGNALS)
def test_stopped_at_every_write(
    todo: tuple[Job, ...], undisturbed: Path, tmp_path: Path, signum: signal.Signals
) -> None:
    """Of the pictures, the teacher, its table, checkpoints, results, references and the comparison."""
    count, status = 1, None
    while status != 0:
        status = attempt(tmp_path, partial(study, todo), partial(die_at, count, signum))
        assert status in (0, -signum, 128 + signum), output_of(tmp_path).read_text()
        assert not [p for p in (tmp_path / "outputs").glob("*/*/results.json") if not p.read_text().strip()]
        count += 3
    assert count > 10 and outcome(tmp_path) == outcome(undisturbed)


@pytest.mark.slow
@pytest.mark.parametrize("signum", SIGNALS)
def test_signals_at_random_moments(
    todo: tuple[Job, ...], undisturbed: Path, folder: Path, signum: signal.Signals
) -> None:
    chance = random.Random(signum)
    for _ in range(20):
        pid = begin(folder, partial(study, todo))
        time.sleep(chance.uniform(0.05, 3.0))
        os.kill(pid, signum)
        status = end(pid)
        assert status in (0, -signum, 128 + signum), output_of(folder).read_text()
        if status == 0:  # it was faster: once more from the start
            assert outcome(folder) == outcome(undisturbed)
            for done in ("s", "teachers"):
                shutil.rmtree(folder / "outputs" / done)
    assert attempt(folder, partial(study, todo)) == 0, output_of(folder).read_text()
    assert outcome(folder) == outcome(undisturbed)


def test_two_jobs_that_want_the_same_teacher(todo: tuple[Job, ...], undisturbed: Path, folder: Path) -> None:
    pupils = [todo[1], *jobs("seed=2")[1:]]
    both = [begin(folder, partial(study, [job])) for job in pupils]
    assert [end(pid) for pid in both] == [0, 0], output_of(folder).read_text()
    [teacher] = (folder / "outputs/teachers").iterdir()
    assert (teacher / "log.txt").read_text().count("epoch") <= 1
    assert attempt(folder, partial(study, todo)) == 0
    ours, theirs = outcome(folder), outcome(undisturbed)
    assert {key: ours[key] for key in theirs if key != "comparison"} == {
        key: value for key, value in theirs.items() if key != "comparison"
    }


def killed_in_the_student(todo: tuple[Job, ...], folder: Path) -> Path:
    """The directory of a student that was killed before its third checkpoint."""

    def first() -> None:
        save, calls = checkpoint.save, iter(range(100))

        def saving(directory: Path, *args: Any, **kwargs: Any) -> None:
            if directory.name.startswith("oim") and next(calls) == 2:
                os.kill(os.getpid(), signal.SIGKILL)
            save(directory, *args, **kwargs)

        checkpoint.save = saving

    assert attempt(folder, partial(study, todo), first) == -signal.SIGKILL, output_of(folder).read_text()
    [directory] = (folder / "outputs/s").glob("oim-*")
    return directory


def test_a_last_checkpoint_that_is_damaged(todo: tuple[Job, ...], undisturbed: Path, folder: Path) -> None:
    last = killed_in_the_student(todo, folder) / "last.pt"
    last.write_bytes(last.read_bytes()[:1000])
    assert attempt(folder, partial(study, todo)) == 0, output_of(folder).read_text()
    assert "last.pt cannot be read" in (last.parent / "log.txt").read_text()
    assert outcome(folder) == outcome(undisturbed)


def test_locks_of_dead_processes(todo: tuple[Job, ...], undisturbed: Path, folder: Path) -> None:
    """They are files that nobody holds: what they say and when it was written does not matter."""
    killed_in_the_student(todo[1:], folder)
    locks = list((folder / "outputs").rglob("*.lock"))
    for lock in locks:
        lock.write_text("process 1 on another machine\n")
    assert attempt(folder, partial(study, todo)) == 0, output_of(folder).read_text()
    assert outcome(folder) == outcome(undisturbed)


def nobody_listens() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    os.environ.pop("WANDB_SERVICE", None)  # of other tests in this process, whose server a fork cannot use
    os.environ |= {"WANDB_BASE_URL": f"http://127.0.0.1:{port}", "WANDB_API_KEY": "0" * 40}


def test_a_tracking_server_that_is_not_there(undisturbed: Path, folder: Path) -> None:
    more = ("logger=wandb", "logger.mode=online", "logger.init_timeout=3", "logger.system_metrics=false")
    tracked = jobs(*more)
    assert attempt(folder, partial(study, tracked), nobody_listens) == 0, output_of(folder).read_text()
    logs = [path.read_text() for path in (folder / "outputs").glob("*/*/log.txt")]
    assert sum(text.count("wandb cannot go online") for text in logs) == 1
    fragments = (folder / "outputs/s").glob("oim-*/wandb/offline-run-*")  # the comparison adds one to each
    assert len({path.name.rsplit("-", 1)[1] for path in fragments}) == 2
    assert outcome(folder) == outcome(undisturbed)


def remove_the_run_directory() -> None:
    """At the second checkpoint of the first student."""
    save = checkpoint.save
    calls = iter(range(100))

    def saving(directory: Path, *args: Any, **kwargs: Any) -> None:
        if directory.name.startswith("oim") and next(calls) == 1:
            shutil.rmtree(directory)
        save(directory, *args, **kwargs)

    checkpoint.save = saving


def test_a_run_directory_removed_under_a_job(todo: tuple[Job, ...], undisturbed: Path, folder: Path) -> None:
    assert attempt(folder, partial(study, todo), remove_the_run_directory) == 70
    told = output_of(folder).read_text()
    assert "OSError: cannot write the checkpoint" in told and "No such file" in told
    assert attempt(folder, partial(study, todo)) == 0
    assert outcome(folder) == outcome(undisturbed)


def turn_the_clock_back() -> None:
    now, steps = time.time(), iter(range(10**9))
    time.time = lambda: now - 60.0 * next(steps)


def test_a_clock_that_goes_backwards(todo: tuple[Job, ...], undisturbed: Path, folder: Path) -> None:
    assert attempt(folder, partial(study, todo), turn_the_clock_back) == 0
    assert outcome(folder) == outcome(undisturbed)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(place)]
    if subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("no permission to mount a small tmpfs")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def test_a_full_disk(todo: tuple[Job, ...], undisturbed: Path, small_disk: Path) -> None:
    shutil.copytree(undisturbed / "outputs/data", small_disk / "outputs/data")
    assert attempt(small_disk, partial(study, todo)) == 70
    assert "No space left on device" in output_of(small_disk).read_text()
    subprocess.run(["mount", "-o", "remount,size=64m", str(small_disk)], check=True)
    assert attempt(small_disk, partial(study, todo)) == 0, output_of(small_disk).read_text()
    assert outcome(small_disk) == outcome(undisturbed)
