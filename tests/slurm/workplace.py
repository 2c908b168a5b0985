"""A checkout of its own that sweeps are submitted from, by the commands a user types."""

from __future__ import annotations

import getpass
import json
import shlex
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

ROOT = Path(__file__).parents[2]
TINY = shlex.split("""
    compression=tiny teacher=reid distill=none,identities seed=1,2 device=cpu trainer.epochs=40
    trainer.batch_size=4 trainer.log_every=1 teacher.reid.trainer.epochs=1 teacher.reid.trainer.batch_size=8
    data.height=64 data.width=96 data.train_scenes=16 data.val_scenes=8 data.test_scenes=16
    data.train_identities=8 data.val_identities=4 data.test_identities=8 data.queries=4
    data.gallery_size=-1 data.workers=1
""")
SLURM = shlex.split("""
    hydra/launcher=slurm hydra.launcher.cpus_per_task=1 hydra.launcher.mem_gb=2 hydra.launcher.timeout_min=60
""")

PATIENCE_S = 900.0
"""How long something may take on a machine that is busy with other things; nothing is measured by it."""


@dataclass(frozen=True)
class Workplace:
    """folder: the checkout. environment: of a client of the cluster. pictures: the data, shared by all."""

    folder: Path
    environment: dict[str, str]
    pictures: Path
    study: str = "sweep"

    @property
    def runs(self) -> dict[str, Path]:
        """Run directories of the students by `<distill>-seed<n>`."""
        found = (self.folder / "outputs" / self.study).glob("oim-*/")
        return {"-".join(path.name.split("-")[3:5]): path for path in found}

    def python(self, module: str, *arguments: str, fails: bool = False) -> str:
        command = [sys.executable, "-m", f"psearch.{module}", *arguments]
        done = subprocess.run(
            command, cwd=self.folder, env=self.environment, capture_output=True, text=True, timeout=PATIENCE_S
        )
        assert (done.returncode != 0) == fails, done.stdout + done.stderr
        return done.stdout + done.stderr

    def submit(self, *more: str, study: str | None = None) -> str:
        data = [f"study={study or self.study}", f"data.root={self.pictures}", "logger=jsonl"]
        return self.python("train", "-m", *data, *TINY, *SLURM, *more)

    def slurm(self, *command: str) -> str:
        done = subprocess.run(
            command, env=self.environment, capture_output=True, text=True, timeout=PATIENCE_S
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def job(self, name: str) -> str:
        """SLURM's id of the last job of that name (its beginning is enough)."""
        lines = (self.folder / "outputs" / self.study / "slurm/jobs.jsonl").read_text().splitlines()
        return str([e["job"] for e in map(json.loads, lines) if e["name"].startswith(name)][-1])

    def queue(self) -> dict[str, str]:
        lines = self.slurm("squeue", "--noheader", "--array", "--format", "%i %T").splitlines()
        return dict(line.split() for line in lines)

    def restarts(self, name: str) -> int:
        words = self.slurm("scontrol", "show", "job", self.job(name)).split()
        return max(int(w.removeprefix("Restarts=")) for w in words if w.startswith("Restarts="))

    def wait(self, seconds: float = PATIENCE_S) -> None:
        self.until(lambda: not self.queue(), seconds)

    def until(self, true: Callable[[], Any], seconds: float = PATIENCE_S) -> None:
        end = time.monotonic() + seconds
        while not true():
            assert time.monotonic() < end, f"{self.queue()}\n{self.python('status', self.study)}"
            time.sleep(0.2)

    def rows(self, run: str) -> int:
        """How many rows of metrics a run has logged."""
        path = self.runs.get(run, Path()) / "metrics.jsonl"
        return path.read_text().count("\n") if path.exists() else 0

    def process(self, run: str) -> int:
        """The process that holds a run directory."""
        return int((self.runs[run] / "run.lock").read_text().split()[1])

    def nodes(self, name: str) -> list[str]:
        """Those that a job runs on."""
        words = self.slurm("scontrol", "show", "job", self.job(name)).split()
        [found] = [word.removeprefix("NodeList=") for word in words if word.startswith("NodeList=")]
        return self.slurm("scontrol", "show", "hostnames", found).split() if found != "(null)" else []

    def break_down(self, node: str) -> None:
        self._node("fail", node)

    def repair(self, node: str) -> None:
        self._node("repair", node)

    def _node(self, what: str, node: str) -> None:
        home = Path(self.environment["SLURM_CONF"]).parent
        subprocess.run([Path(__file__).with_name("slurm-cluster"), what, home, node], check=True, timeout=60)

    def clear(self) -> None:
        self.slurm("scancel", "--user", getpass.getuser())
        self.wait()


def weights(run: Path) -> dict[str, torch.Tensor]:
    """All that a training ends with: network, identity memory, optimizer."""
    state = torch.load(run / "last.pt", weights_only=True)
    return {f"{part}.{key}": value for part in ("network", "criterion") for key, value in state[part].items()}


def measured(run: Path) -> tuple[dict[str, Any], dict[str, Any], list[Any]]:
    results = json.loads((run / "results.json").read_text())
    return results["metrics"], results["protocol"], results["per_query"]
