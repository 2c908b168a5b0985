"""On a real SLURM: runs of several ranks, on one node and on two, and nodes that break down."""

from __future__ import annotations

import json
import os
import re
import signal
import sys
import time
from pathlib import Path

import psutil
import pytest
import torch

from tests.slurm.test_sweep import log_of
from tests.slurm.workplace import Workplace, measured, weights

pytestmark = [pytest.mark.slurm, pytest.mark.timeout(2400)]

TAUGHT = ["distill=identities", "seed=1", "teacher.reid.trainer.epochs=2", "trainer.epochs=25"]
ON_ONE_NODE = ["hydra.launcher.tasks_per_node=2", "hydra.launcher.gpus_per_node=2"]
ON_TWO_NODES = ["hydra.launcher.nodes=2"]
RUN, NAME = "identities-seed1", "oim-tiny-reid-identities"


def same(ours: Path, theirs: Path) -> bool:
    a, b = weights(ours), weights(theirs)
    equal = a.keys() == b.keys() and all(torch.equal(a[key], b[key]) for key in a)
    return equal and measured(ours) == measured(theirs)


def ranks_of(place: Workplace) -> dict[int, int]:
    """Rank -> process of the training that runs."""
    found = {}
    for process in psutil.process_iter():
        try:
            environment = process.environ()
            command = process.cmdline()
            submitit = command[:1] == [sys.executable] and "submitit.core._submit" in command  # and not srun
        except psutil.Error:
            continue
        if submitit and environment.get("SLURM_CONF") == place.environment["SLURM_CONF"]:
            rank = int(environment.get("SLURM_PROCID", -1))
            found[rank] = min(process.pid, found.get(rank, process.pid))
    return found


def test_two_ranks_on_two_nodes_preempted_broken_down_and_killed(wide: Workplace) -> None:
    place = wide
    place.submit(*TAUGHT, *ON_ONE_NODE)
    place.until(lambda: place.rows(RUN) >= 3)
    assert set(ranks_of(place)) == {0, 1} and len(place.nodes(NAME)) == 1
    place.wait()
    calm = place.runs[RUN].rename(place.folder / "calm")
    assert json.loads((calm / "results.json").read_text())["training"]["ranks"] == 2

    place.submit(*TAUGHT, *ON_TWO_NODES)
    place.until(lambda: place.rows(RUN) >= 3)
    assert place.nodes(NAME) == ["n0", "n1"]
    urgent = ["sbatch", "--partition=urgent", "--nodes=2", "--gpus-per-node=2", "--output=/dev/null"]
    place.slurm(*urgent, "--wrap=sleep 3")
    place.until(lambda: place.restarts(NAME) == 1)
    assert "SIGUSR2: everything so far is saved" in log_of(place, NAME)
    rows = place.rows(RUN)
    place.until(lambda: place.rows(RUN) >= rows + 3)

    place.break_down("n1")
    place.until(lambda: place.restarts(NAME) == 2)
    place.repair("n1")
    place.until(lambda: place.queue().get(place.job(NAME)) == "RUNNING")
    place.until(lambda: 1 in ranks_of(place) and place.process(RUN) == ranks_of(place)[0])
    rows = place.rows(RUN)
    place.until(lambda: place.rows(RUN) >= rows + 3)

    begun = time.monotonic()
    os.kill(ranks_of(place)[1], signal.SIGKILL)
    place.wait()
    print(f"a killed rank ended the job and its comparison after {time.monotonic() - begun:.0f} s")
    told = place.python("status", place.study)
    assert re.search(rf"{RUN}-\w+ +failed", told), told
    place.python("resubmit", place.study)
    place.wait()
    assert same(place.runs[RUN], calm)


def test_a_node_that_breaks_down_costs_the_work_since_the_last_epoch(wide: Workplace) -> None:
    place = wide
    place.submit("distill=none", "seed=1", study="calm")
    place.submit("distill=none", "seed=1")
    place.until(lambda: place.rows("none-seed1") >= 5)
    [node] = place.nodes("oim-tiny-none")
    place.break_down(node)
    place.until(lambda: place.restarts("oim-tiny-none") == 1)
    place.until(lambda: place.nodes("oim-tiny-none") not in ([], [node]))
    place.repair(node)
    place.wait()
    [calm] = (place.folder / "outputs/calm").glob("oim-*")
    assert same(place.runs["none-seed1"], calm)
    assert "2 done" in place.python("status", place.study)
