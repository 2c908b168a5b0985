"""What SLURM knows of jobs, by its own commands."""

from __future__ import annotations

import getpass
import re
import subprocess
from collections.abc import Collection, Iterator, Sequence


def active() -> dict[str, str]:
    """This user's waiting and running jobs: id (`17`, or `17_3` in an array) -> state, with the reason why it
    waits. Raises ValueError where SLURM does not answer."""
    command = ["squeue", "--noheader", "--array", "--user", getpass.getuser(), "--format", "%i|%T|%r"]
    states = {}
    for line in _run(command).splitlines():
        job, state, reason = line.split("|", 2)
        waits = state == "PENDING" and reason not in ("None", "")
        states[job] = f"{state.lower()} ({reason})" if waits else state.lower()
    return states


def ended(jobs: Collection[str]) -> dict[str, str]:
    """How jobs ended (`failed`, `timeout`, `out_of_memory`, …), as far as the cluster keeps accounts."""
    if not jobs:
        return {}
    arrays = sorted({job.partition("_")[0] for job in jobs})
    command = ["sacct", "--noheader", "--parsable2", "--allocations", "--format", "JobID,State"]
    try:
        lines = _run([*command, "--jobs", ",".join(arrays)]).splitlines()
    except ValueError:
        return {}
    rows = [line.split("|") for line in lines if "|" in line]
    states = {job: row[1] for row in rows for job in _expanded(row[0])}
    return {job: re.split(r"[ +]", states[job])[0].lower() for job in jobs if job in states}


def _expanded(job: str) -> Iterator[str]:
    """`17_[0-2,5%4]`, the tasks of an array that never started, as `17_0`, `17_1`, …"""
    array, bracket, tasks = job.partition("_[")
    if not bracket:
        yield job
        return
    for part in re.sub(r"(%\d+)?\]$", "", tasks).split(","):
        first, _, last = part.partition("-")
        yield from (f"{array}_{task}" for task in range(int(first), int(last or first) + 1))


def cancel(jobs: Sequence[str]) -> None:
    """Cancel jobs, waiting or running; ids that are gone by now are no error."""
    if jobs:
        _run(["scancel", *jobs])


def _run(command: Sequence[str]) -> str:
    try:
        done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=120)
    except FileNotFoundError:
        raise ValueError(f"there is no {command[0]} here: is this a machine of the SLURM cluster?") from None
    except subprocess.SubprocessError as error:
        reason = getattr(error, "stderr", None) or str(error)
        raise ValueError(f"{command[0]} failed: {reason.strip()}") from error
    return done.stdout
