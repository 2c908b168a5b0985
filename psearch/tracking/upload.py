"""Uploading what wandb runs left on disk: offline runs, and online ones whose server did not take all."""

from __future__ import annotations

import os
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from psearch.files import is_held
from psearch.tracking.session import UNSENT

AT_ONCE = 8
EMPTY = 7
"""Bytes of a log that was opened and never written to; `wandb sync` stumbles over it."""


def waiting(run: Path) -> list[Path]:
    """The folders of a run directory, in order of time, that are not uploaded yet."""
    offline = [f for f in run.glob("wandb/offline-run-*") if not list(f.glob("*.wandb.synced"))]
    online = [f for f in run.glob("wandb/run-*") if (f / UNSENT).exists()]
    found = sorted([*offline, *online], key=lambda folder: folder.name.removeprefix("offline-"))
    return [f for f in found if any(log.stat().st_size > EMPTY for log in f.glob("*.wandb"))]


def running(run: Path) -> bool:
    """Whether a process is at work in a run directory."""
    return is_held(run / "run.lock")


def check_server() -> str:
    """The address of wandb's server. ValueError if there is no key, or if nobody answers there."""
    import wandb

    if not wandb.login(prompt=False, verify=False):
        raise ValueError("wandb has no key: set WANDB_API_KEY or run `wandb login`")
    address: str = wandb.setup().settings.base_url
    try:
        urllib.request.urlopen(address, timeout=20).close()
    except urllib.error.HTTPError:
        pass  # it answers
    except OSError as error:
        reason = getattr(error, "reason", error)
        raise ValueError(f"wandb's server {address} cannot be reached ({reason}): try again later") from error
    return address


def upload(runs: Sequence[Path], *, timeout: float = 1800) -> Iterator[tuple[Path, str]]:
    """Upload run directories, a few at once; yields each with what went wrong, "" if nothing did.

    timeout: seconds for `AT_ONCE` of them; what is not through by then is left for the next time.
    """
    for some in (runs[start : start + AT_ONCE] for start in range(0, len(runs), AT_ONCE)):
        said = _sync([folder for run in some for folder in waiting(run)], timeout)
        for run in some:
            yield run, (said or "wandb sync gave no reason") if _settle(run) else ""


def _sync(folders: Iterable[Path], timeout: float) -> str:
    command = [sys.executable, "-m", "wandb", "sync", "--include-online", "-n", str(AT_ONCE)]
    environment = {**os.environ, "WANDB_ERROR_REPORTING": "false"}
    try:
        done = subprocess.run(
            [*command, *map(str, folders)],
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
        )
    except subprocess.TimeoutExpired:
        return f"not through after {timeout:.0f} s"
    lines = (done.stdout + done.stderr).splitlines()
    return "; ".join(line for line in lines if any(word in line for word in ("ERROR", "Error", "ailed")))


def _settle(run: Path) -> list[Path]:
    """Take the mark off online folders that are uploaded now; answers what still waits."""
    for mark in run.glob(f"wandb/run-*/{UNSENT}"):
        if list(mark.parent.glob("*.wandb.synced")):
            mark.unlink()
    return waiting(run)
