"""Where a result comes from: the code, the weights it started from, the machine and the memory it took."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import resource
import subprocess
import sys
from collections.abc import Iterator, Mapping
from functools import cache
from operator import itemgetter
from pathlib import Path
from typing import Any

import torch

from psearch.identity import deciding
from psearch.runs import checkpoint

PACKAGE = Path(__file__).resolve().parents[1]

SNAPSHOT = "code.json"
"""Beside a frozen copy of the package (`psearch.launch.slurm.snapshot`): what `code` was when it was made."""


def code(package: Path = PACKAGE) -> dict[str, Any]:
    """{"commit", "dirty", "changed"}: the commit the package is at, whether its tree differs from it, and the
    tracked files that do. A file that git does not track is no change.

    {"commit": "unknown", "dirty": None, "changed": []} where git does not know the package: no git, not a
    checkout, or a package that merely lies inside somebody else's checkout (a virtual environment).
    """
    frozen = package.parent / SNAPSHOT
    if frozen.exists():
        known: dict[str, Any] = json.loads(frozen.read_text())
        return known
    commit = _git(package, "rev-parse", "HEAD")
    if commit is None or _git(package, "ls-files", "--error-unmatch", "__init__.py") is None:
        return {"commit": "unknown", "dirty": None, "changed": []}
    changed = (_git(package, "diff", "--name-only", "HEAD", "--", ":/") or "").splitlines()
    return {"commit": commit, "dirty": bool(changed), "changed": changed}


def weights_digest(state: Any) -> str:
    """12 hex digits for tensors by their names, types, shapes and values, however they were saved.

    state: a state dict, or such dicts, lists and plain values in one another.
    """
    digest = hashlib.sha256()
    for name, value in sorted(_parts(state), key=itemgetter(0)):
        if isinstance(value, torch.Tensor):
            digest.update(f"{name} {value.dtype} {tuple(value.shape)}\n".encode())
            digest.update(value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
        else:
            digest.update(f"{name} {value!r}\n".encode())
    return digest.hexdigest()[:12]


def _parts(node: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(node, Mapping | list | tuple):
        named = node.items() if isinstance(node, Mapping) else enumerate(node)
        for key, value in named:
            yield from _parts(value, f"{name}.{key}")
    else:
        yield name, node


def checkpoint_digest(path: Path | str) -> str:
    """`weights_digest` of what is built from a checkpoint: its network and criterion, what they are made by,
    and what they know of their data. How far its training was, and where, does not count.

    ValueError if the file is missing or broken.
    """
    found = Path(path).stat() if Path(path).is_file() else None
    return _digest_of(Path(path), found and (found.st_size, found.st_mtime_ns))


@cache
def _digest_of(path: Path, stamp: tuple[int, int] | None) -> str:
    state = checkpoint.load(path)
    if "network" not in state:
        return weights_digest(state)
    config = deciding(state.get("config") or {})
    made_by = {key: config.get(key) for key in ("student", "compression")}
    return weights_digest([made_by, *(state.get(key) for key in ("network", "criterion", "facts"))])


def machine() -> dict[str, Any]:
    """The processor, the cores this process may use, the GPUs, and the versions that decide rounding."""
    return {
        "cpu": _cpu(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "gpus": [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())],
        "python": platform.python_version(),
        "torch": torch.__version__,
    }


def peak_memory_mb(device: torch.device | str = "cpu") -> float:
    """Most memory in use at one time so far, in MB (2**20): of the GPU, or of this process in main memory."""
    device = torch.device(device)
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)


def _git(directory: Path, *arguments: str) -> str | None:
    command = ["git", "-C", str(directory), *arguments]
    try:
        done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=30)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())
