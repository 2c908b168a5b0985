"""Several ranks compute what one does: the same batches, losses and memory, whatever interrupts them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

from psearch import distributed
from psearch.build import build
from psearch.config.program import start
from psearch.engine import process_group
from psearch.evaluation.evaluator import Evaluator
from psearch.models.network import Network
from psearch.models.qeeps import QEEPSNetwork
from psearch.studies.measurement import EvaluationSetup
from psearch.types import Benchmark
from tests import toys
from tests.engine.attempts import TINY, jobs, output_of
from tests.engine.ranked import launch, left_by, train

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="the system cannot fork")
ROOT = Path(__file__).parents[2]
CLOCKS = ("train/images_per_s", "train/memory_mb")


@pytest.fixture(scope="module")
def benchmark_(tmp_path_factory: pytest.TempPathFactory) -> Benchmark:
    """22 scenes: two batches of 8 and one of 6, which four ranks cannot share evenly."""
    place = tmp_path_factory.mktemp("pictures")
    [job, _] = jobs("data.train_scenes=22", "data.train_identities=12", f"data.root={place}")
    return build(job.config["data"])


def trained(folder: Path, size: int, benchmark: Benchmark) -> Path:
    place = folder / f"{size}"
    assert launch(place, size, partial(train, benchmark)) == [0] * size, output_of(place).read_text()
    return place


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory, benchmark_: Benchmark) -> Path:
    return trained(tmp_path_factory.mktemp("one"), 1, benchmark_)


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory, benchmark_: Benchmark) -> Path:
    return trained(tmp_path_factory.mktemp("two"), 2, benchmark_)


def rows(folder: Path) -> list[dict[str, float]]:
    lines = (folder / "run/metrics.jsonl").read_text().splitlines()
    return [{k: v for k, v in json.loads(line).items() if k not in CLOCKS} for line in lines]


def same(a: dict[str, Any], b: dict[str, Any]) -> bool:
    return all(
        torch.equal(a[part][key], b[part][key]) for part in ("network", "criterion") for key in a[part]
    )


@pytest.mark.parametrize("size", [2, 4])
def test_the_same_batches_losses_and_weights(
    size: int, one: Path, two: Path, tmp_path: Path, benchmark_: Benchmark
) -> None:
    several = two if size == 2 else trained(tmp_path, size, benchmark_)
    [alone], everyone = left_by(one, 1), left_by(several, size)
    spread = zip(*(state["scenes"] for state in everyone), strict=True)
    assert [[scene for part in batch for scene in part] for batch in spread] == alone["scenes"]
    assert len(rows(several)) == len(rows(one)) == 9
    for ours, theirs in zip(rows(several), rows(one), strict=True):
        assert ours == pytest.approx(theirs, rel=1e-4, abs=1e-6), ours["step"]
    assert all(same(state, everyone[0]) for state in everyone)
    assert everyone[0]["criterion"]["memory.queue_ptr"] > 0
    for part in ("network", "criterion"):
        torch.testing.assert_close(everyone[0][part], alone[part], rtol=1e-3, atol=1e-5)


def act(rank: int, step: int, what: Any) -> Any:
    return lambda now: what() if (now, distributed.current_rank().number) == (step, rank) else None


def send(signum: int) -> Any:
    return lambda: os.kill(os.getpid(), signum)


def fail() -> None:
    raise ValueError("the picture of a scene is missing")


def test_a_signal_to_one_stops_all_at_the_same_step(two: Path, tmp_path: Path, benchmark_: Benchmark) -> None:
    place = tmp_path / "2"
    for step, signum in ((1, signal.SIGUSR2), (2, signal.SIGTERM)):
        ends = launch(place, 2, partial(train, benchmark_, act(1, step, send(signum))))
        assert ends == [128 + signum] * 2, output_of(place).read_text()
    assert launch(place, 2, partial(train, benchmark_)) == [0, 0], output_of(place).read_text()
    assert all(same(a, b) for a, b in zip(left_by(place, 2), left_by(two, 2), strict=True))
    assert rows(place) == rows(two)


def test_a_killed_rank_ends_the_others_and_the_same_command_goes_on(
    two: Path, tmp_path: Path, benchmark_: Benchmark
) -> None:
    place = tmp_path / "2"
    assert launch(place, 2, partial(train, benchmark_, act(1, 4, send(signal.SIGKILL)))) == [70, -9]
    error = json.loads((place / "run/FAILED").read_text())["error"]
    assert error.startswith("RankLost: rank 0 of 2 has lost the others") and "killed or failed" in error
    assert launch(place, 2, partial(train, benchmark_)) == [0, 0], output_of(place).read_text()
    assert all(same(a, b) for a, b in zip(left_by(place, 2), left_by(two, 2), strict=True))
    assert not (place / "run/FAILED").exists()


def test_what_fails_on_one_rank_is_what_the_run_says(tmp_path: Path, benchmark_: Benchmark) -> None:
    place = tmp_path / "2"
    assert launch(place, 2, partial(train, benchmark_, act(1, 1, fail))) == [70, 70]
    assert json.loads((place / "run/FAILED").read_text())["error"].startswith(
        "rank 1: ValueError: the picture"
    )


def test_another_number_of_ranks_is_another_training(tmp_path: Path, benchmark_: Benchmark) -> None:
    place = tmp_path / "2"
    launch(place, 2, partial(train, benchmark_, act(0, 4, send(signal.SIGTERM))))
    assert launch(place, 1, partial(train, benchmark_)) == [70]
    assert "ranks: 2 -> (absent)" in output_of(place).read_text()


@pytest.mark.parametrize(
    "options, words",
    [({"batch_size": 9}, "choose a multiple of 2"), ({"norm": "sync"}, "norm=sync needs GPUs")],
)
def test_mistakes(tmp_path: Path, benchmark_: Benchmark, options: dict[str, Any], words: str) -> None:
    place = tmp_path / "2"
    assert launch(place, 2, partial(train, benchmark_, **options)) == [70, 70]
    assert words in output_of(place).read_text()


def evaluated(benchmark: Benchmark, make: Callable[[], Network]) -> None:
    process_group.join(gpu=False, timeout_s=60)
    network = make()
    rules = Evaluator(score_threshold=0.1, max_detections=20)
    setup = EvaluationSetup(benchmark, benchmark.test, {}, rules, torch.device("cpu"))
    met: list[int] = []
    if isinstance(network, QEEPSNetwork):
        match = network.match
        network.match = lambda scene, query: met.append(len(query["box"])) or match(scene, query)
    found = setup.network(network)
    mine = sum(met)
    with distributed.single_process():
        alone = setup.network(network)
    everyones = sum(met) - mine
    assert sum(distributed.all_gather(mine)) == everyones and (mine < everyones or not met)
    assert found.metrics == alone.metrics and found.per_query == alone.per_query
    assert (found.query_embeddings == alone.query_embeddings).all()
    ours, theirs = found.result.ranking, alone.result.ranking
    assert (ours.scenes == theirs.scenes).all() and (ours.similarities == theirs.similarities).all()
    assert (ours.scenes >= 0).all(axis=1).any()


@pytest.mark.parametrize("make", [toys.network, toys.qeeps])
def test_an_evaluation_spread_over_ranks_says_the_same(
    tmp_path: Path, benchmark_: Benchmark, make: Callable[[], Network]
) -> None:
    """One where every scene is asked once, and one where every pair of query and scene is."""
    place = tmp_path / "2"
    assert launch(place, 2, partial(evaluated, benchmark_, make)) == [0, 0], output_of(place).read_text()


def torchrun(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", "-m"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [*command, *arguments], cwd=folder, env=environment, capture_output=True, text=True, timeout=250
    )


def test_torchrun_trains_teacher_and_student_and_one_writes(tmp_path: Path) -> None:
    done = torchrun(
        tmp_path, "psearch.train", *TINY.split(), "distill=identities", "trainer.validate_every=2"
    )
    assert done.returncode == 0, done.stdout + done.stderr
    [run] = (tmp_path / "outputs/s").glob("oim-*")
    results = json.loads((run / "results.json").read_text())
    assert results["training"]["ranks"] == 2 and 0 <= results["metrics"]["mAP"] <= 1
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    steps = [line["step"] for line in lines if "train/total" in line]
    assert steps == list(range(1, 13)) and sum("val/mAP" in line for line in lines) == 2
    assert len(list((tmp_path / "outputs/teachers").iterdir())) == 1
    again = torchrun(tmp_path, "psearch.evaluate", f"checkpoint={run}/last.pt", "output=again")
    assert again.returncode == 0 and again.stdout.count("results: again/results.json") == 1, again.stderr
    assert json.loads((tmp_path / "again/results.json").read_text())["per_query"] == results["per_query"]


@pytest.mark.parametrize("arguments", [("psearch.train", "-m", "seed=1,2"), ("psearch.doctor",)])
def test_torchrun_is_for_one_run(monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...]) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setattr(sys, "argv", list(arguments))
    with pytest.raises(SystemExit, match="give it a single run of psearch.train"):
        start(lambda: None, arguments[0].removeprefix("psearch."))


def test_who_a_process_is() -> None:
    step = {"SLURM_PROCID": "3", "SLURM_STEP_NUM_TASKS": "4", "SLURM_LOCALID": "1"}
    assert process_group.rank_of({}) == (0, 1, 0)
    assert process_group.rank_of({"SLURM_PROCID": "0", "SLURM_NTASKS": "4"}) == (0, 1, 0)  # a batch script
    assert process_group.rank_of(step) == (3, 4, 1)
    assert process_group.rank_of(step | {"RANK": "1", "WORLD_SIZE": "2", "LOCAL_RANK": "1"}) == (1, 2, 1)


def test_alone_everything_is_itself() -> None:
    values = torch.tensor([1.0, 2.0])
    assert distributed.all_mean(values) is values and distributed.gather_rows(values) is values
    assert distributed.mean_weight(0) == distributed.mean_weight(7) == 1.0
    assert distributed.all_gather("x") == ["x"] and distributed.all_max([3]) == [3]
    assert distributed.shard(range(5)) == range(5) and distributed.on_first_rank(lambda: 4) == 4
