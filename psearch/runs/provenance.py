"""Where a result comes from: the code, the machine and the memory it took."""

from __future__ import annotations

import json
import os
import platform
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

import torch

PACKAGE = Path(__file__).resolve().parents[1]

SNAPSHOT = "code.json"
"""Beside a frozen copy of the package (`psearch.launch.slurm.snapshot`): what `code` was when it was made."""


def code(package: Path = PACKAGE) -> dict[str, Any]:
    """The commit the package is at, and whether its tree differs from it.

    {"commit": "unknown", "dirty": None} where git does not know the package: no git, not a checkout, or a
    package that merely lies inside somebody else's checkout (a virtual environment).
    """
    frozen = package.parent / SNAPSHOT
    if frozen.exists():
        known: dict[str, Any] = json.loads(frozen.read_text())
        return known
    commit = _git(package, "rev-parse", "HEAD")
    if commit is None or _git(package, "ls-files", "--error-unmatch", "__init__.py") is None:
        return {"commit": "unknown", "dirty": None}
    return {"commit": commit, "dirty": bool(_git(package, "status", "--porcelain", "--", ":/"))}


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
