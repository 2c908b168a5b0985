"""Every study that ships runs, at a size that takes seconds: its first job, teacher included."""

import json

import pytest
import torch

from psearch.studies.train import run
from tests.study import CONF, composed, teachers

EXPERIMENTS = sorted(path.stem for path in (CONF / "experiment").glob("*.yaml"))


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_an_experiment_trains_evaluates_and_records(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    threads = torch.get_num_threads()
    small = ["scale=tiny"] if "scale=" in (CONF / "experiment" / f"{name}.yaml").read_text() else []
    config, variant = composed(
        f"experiment={name}",
        *small,
        "study=tried",
        "distill=identities",
        "trainer.epochs=1",
        *teachers("reid"),
    )
    assert run(config, variant) is not None
    torch.set_num_threads(threads)
    [results] = (tmp_path / "outputs" / "tried").glob("*/results.json")
    assert json.loads(results.read_text())["teachers"][0]["name"] == variant["teacher"]
