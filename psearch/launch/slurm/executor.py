"""From the keys of `conf/hydra/launcher/slurm.yaml` to submitit's executor."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import submitit
from submitit.helpers import clean_env

COMMON = frozenset({"timeout_min", "cpus_per_task", "gpus_per_node", "tasks_per_node", "mem_gb", "nodes",
                    "stderr_to_stdout"})  # fmt: skip
"""What submitit calls alike on all kinds of clusters; other parameters get the prefix `slurm_`."""

OURS = frozenset({"_target_", "submitit_folder", "name", "max_num_timeout", "setup", "additional_parameters"})

PYTHON = f'sh -c \'trap "" USR2; exec "$@"\' sh {shlex.quote(sys.executable)}'
"""A warning that comes before submitit listens would kill the job; so it is missed instead, and SLURM ends
and requeues the job after its grace time."""


def make_executor(launcher: Mapping[str, Any], folder: Path, code: Path, name: str) -> submitit.AutoExecutor:
    """An executor whose jobs import the frozen `code` and whose files lie in `folder`.

    launcher: the composed node `hydra.launcher`. Raises ValueError for parameters SLURM cannot be given.
    """
    _check(launcher)
    given = {key: value for key, value in launcher.items() if key not in OURS and value is not None}
    executor = submitit.AutoExecutor(
        folder, cluster="slurm", slurm_max_num_timeout=launcher["max_num_timeout"], slurm_python=PYTHON
    )
    if _several_tasks(launcher):
        given["srun_args"] = ["--kill-on-bad-exit=1"]  # a rank that is gone takes the others along
    more = {"requeue": True, "kill-on-invalid-dep": "yes", **launcher["additional_parameters"]}
    executor.update_parameters(
        name=name,
        slurm_setup=[*(launcher["setup"] or ()), *_environment(code)],
        slurm_additional_parameters=more,
        **{key if key in COMMON else f"slurm_{key}": value for key, value in given.items()},
    )
    return executor


def _environment(code: Path) -> list[str]:
    """Shell lines: `python -m` must not look into the folder it starts in, where the code may be newer."""
    return [
        f"export PYTHONPATH={shlex.quote(str(code.resolve()))}${{PYTHONPATH:+:$PYTHONPATH}} PYTHONSAFEPATH=1",
        "export OMP_NUM_THREADS=${OMP_NUM_THREADS:-${SLURM_CPUS_PER_TASK:-1}} OMP_WAIT_POLICY=PASSIVE",
        "export SRUN_CPUS_PER_TASK=${SLURM_CPUS_PER_TASK:-1}  # since SLURM 22.05 srun does not inherit it",
        "export TQDM_DISABLE=1",
    ]


def _check(launcher: Mapping[str, Any]) -> None:
    if launcher["max_num_timeout"] < 1:
        raise ValueError(
            "hydra.launcher.max_num_timeout must be at least 1: a preempted job is a timed-out one"
        )
    gpus, tasks = launcher["gpus_per_node"], launcher["tasks_per_node"]
    if gpus and tasks > 1 and gpus != tasks:
        raise ValueError(
            f"hydra.launcher: {tasks} tasks_per_node want {tasks} gpus_per_node, not {gpus}: "
            "a rank has a GPU of its own"
        )
    for key, value in [*launcher.items(), *launcher["additional_parameters"].items()]:
        if isinstance(value, str) and not value.isprintable():
            raise ValueError(f"hydra.launcher.{key}={value!r}: a line break has no place there")


def _several_tasks(launcher: Mapping[str, Any]) -> bool:
    return bool(launcher["nodes"] * launcher["tasks_per_node"] > 1)


def describe(launcher: Mapping[str, Any]) -> str:
    """The machines a job asks for, in a line."""
    where = launcher.get("partition") or "the default"
    nodes, tasks = launcher["nodes"], launcher["tasks_per_node"]
    many = "1 node" if nodes == 1 else f"{nodes} nodes"
    ranks = f"{many} of {tasks} ranks, each node " if _several_tasks(launcher) else ""
    return (
        f"SLURM, {where} partition; each job: {ranks}{launcher['gpus_per_node'] or 0} GPU, "
        f"{launcher['cpus_per_task']} CPUs, {launcher['mem_gb']} GB, {launcher['timeout_min']} minutes, "
        f"requeued up to {launcher['max_num_timeout']} times; "
        f"at most {launcher['array_parallelism']} of an array at once"
    )


@contextmanager
def outside_of_jobs() -> Iterator[None]:
    """Submitting from within a job must not hand on what that job was given (GPUs, ranks, …)."""
    configuration = os.environ.get("SLURM_CONF")
    with clean_env():
        if configuration is not None:
            os.environ["SLURM_CONF"] = configuration
        yield
