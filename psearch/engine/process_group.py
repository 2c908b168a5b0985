"""How the ranks of a training find each other: by what torchrun, or SLURM's srun, tells each process.

Nothing is launched here: whoever starts the processes starts one per rank.
"""

from __future__ import annotations

import atexit
import os
import random
import re
import socket
import subprocess
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import nn

from psearch import distributed
from psearch.distributed import Rank

Environment = Mapping[str, str]


def rank_of(environment: Environment) -> Rank:
    """Which rank the environment makes this process: torchrun's word comes first, then that of a job step of
    SLURM; a batch script or a shell in an allocation is no step of several tasks, so it is alone."""
    if "WORLD_SIZE" in environment and "RANK" in environment:
        names = ("RANK", "WORLD_SIZE", "LOCAL_RANK")
    elif "SLURM_STEP_NUM_TASKS" in environment:
        names = ("SLURM_PROCID", "SLURM_STEP_NUM_TASKS", "SLURM_LOCALID")
    else:
        return Rank()
    number, size, local = (
        int(environment.get(name, default)) for name, default in zip(names, "010", strict=True)
    )
    return Rank(number, size, local)


def join(*, gpu: bool, timeout_s: float = distributed.TIMEOUT_S) -> None:
    """Meet the other ranks, once per process; nothing to do for a process that is alone.

    gpu: talk over nccl about what lies on GPUs; else, and about all else, over gloo. timeout_s: how long to
    wait for a rank, here and at every step, before it is taken for lost. Raises `RankLost` if none comes.
    """
    rank = rank_of(os.environ)
    if rank.size == 1 or distributed.is_distributed():
        return
    try:
        dist.init_process_group(
            "cpu:gloo,cuda:nccl" if gpu else "gloo",
            init_method=_meeting_point(os.environ),
            rank=rank.number,
            world_size=rank.size,
            timeout=timedelta(seconds=timeout_s),
        )
    except RuntimeError as error:
        reason = str(error).strip().splitlines()[0]
        raise distributed.RankLost(f"the {rank.size} ranks did not find each other: {reason}") from error
    atexit.register(dist.destroy_process_group)
    distributed.set_rank(rank)


def _meeting_point(environment: Environment) -> str:
    """Where the first rank listens. torchrun says it; under SLURM it is the first node of the step, and a
    port that all ranks draw alike, another one at each start of the job."""
    if "MASTER_ADDR" in environment:
        return "env://"
    start = [environment.get(f"SLURM_{name}", "0") for name in ("JOB_ID", "STEP_ID", "RESTART_COUNT")]
    port = random.Random(".".join(start)).randint(20000, 60000)
    return f"tcp://{_address(_first_node(environment['SLURM_STEP_NODELIST']))}:{port}"


def _first_node(nodes: str) -> str:
    """`gpu[07-09,12]` -> `gpu07`."""
    return _scontrol("hostnames", nodes).split()[0]


def _address(node: str) -> str:
    """A node's name where it can be looked up, else the address that SLURM knows it by."""
    try:
        return socket.gethostbyname(node)
    except OSError:
        found = re.search(r"\bNodeAddr=(\S+)", _scontrol("node", node))
        return found.group(1) if found else node


def _scontrol(what: str, name: str) -> str:
    command = ["scontrol", "show", what, name]
    try:
        return subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout
    except (OSError, subprocess.SubprocessError) as error:
        raise ValueError(f"{' '.join(command)} failed ({error}): the ranks cannot find each other") from error


NORMS = ("local", "sync")
"""Each rank normalises its part of the batch by itself, or all parts as one."""


def synchronise(task: Any, device: torch.device) -> None:
    """Make every BatchNorm of a task see the batches of all ranks; its parameters, their names and what it
    computes in evaluation mode stay. Nothing to do for one rank. Raises ValueError on CPUs, where torch
    cannot."""
    if not distributed.is_distributed():
        return
    if device.type != "cuda":
        raise ValueError("trainer.norm=sync needs GPUs; on CPUs choose trainer.norm=local")
    for name, child in task.named_children():
        setattr(task, name, nn.SyncBatchNorm.convert_sync_batchnorm(child))
