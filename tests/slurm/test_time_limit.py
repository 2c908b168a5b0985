"""On a real SLURM: a run that takes longer than a job may."""

from __future__ import annotations

import json

import pytest
import torch

from tests.slurm.test_sweep import log_of
from tests.slurm.workplace import Workplace, measured, weights

pytestmark = [pytest.mark.slurm, pytest.mark.timeout(2400)]

SECONDS = 200
"""Longer than a job of two minutes trains: SLURM warns up to a minute early, 30 to 60 s after the start."""
NAME, RUN = "oim-tiny-none", "none-seed1"


def test_a_time_limit_costs_nothing(workplace: Workplace, undisturbed: Workplace) -> None:
    place = workplace
    known = json.loads((undisturbed.runs[RUN] / "results.json").read_text())["training"]
    epochs = int(known["epochs"] * SECONDS / known["seconds"])
    run = ["distill=none", "seed=1", f"trainer.epochs={epochs}", "trainer.log_every=100"]
    place.submit(*run, study="calm")
    place.submit(*run, "hydra.launcher.timeout_min=2", "hydra.launcher.signal_delay_s=30")
    place.until(lambda: place.restarts(NAME) >= 1)
    place.wait()
    assert "SIGUSR2: everything so far is saved" in log_of(place, NAME)
    assert "2 done" in place.python("status", place.study)
    [calm] = (place.folder / "outputs/calm").glob("oim-*")
    ours, theirs = weights(place.runs[RUN]), weights(calm)
    assert ours.keys() == theirs.keys() and all(torch.equal(ours[key], theirs[key]) for key in ours)
    assert measured(place.runs[RUN]) == measured(calm)
