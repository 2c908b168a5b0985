"""A real wandb client against a server that the tests bring along: what is sent, and when nobody listens."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from tests.tracking.loopback import loopback
from tests.tracking.test_sync import sync
from tests.tracking.toy_run import FACTS, started


def test_a_run_arrives_with_all_that_it_logged(tmp_path: Path) -> None:
    with loopback() as server:
        run = started(
            tmp_path / "run", tmp_path, url=server.url, mode="online", fallback=False, checkpoint=True
        )
        _, said = run.communicate(timeout=60)
    assert run.returncode == 0, said
    assert server.unknown == set()
    [(name, received)] = server.runs.items()
    assert name == (tmp_path / "run" / "wandb_id").read_text()
    facts = received.facts
    assert (facts["groupName"], facts["jobType"], facts["tags"]) == ("a study", "student", ["oim", "tiny"])
    assert facts["displayName"] == FACTS["name"] and facts["project"] == "psearch"
    assert FACTS["config"].items() <= received.config.items()
    assert received.exit_code == 0
    assert [row["train/total"] for row in received.history if "train/total" in row] == [2, 1]
    assert [row["epoch"] for row in received.history if "val/mAP" in row] == [1]
    assert received.summary["best/mAP"] == 0.25 and received.summary["protocol/dataset"] == "synthetic"
    assert f"this run on wandb: {server.url}/lab/psearch/runs/{name}" in said
    assert not list(tmp_path.glob("run/wandb/*/not-uploaded"))

    table = json.loads(server.files[f"run-{name}-comparison/comparison.table.json"])
    assert table["columns"] == ["variant", "mAP", "parameters"] and table["data"][1] == ["taught", None, 2e6]
    assert set(received.config["_wandb"]["visualize"]) == {"comparison_bar", "comparison_scatter"}
    [picture] = received.summary["searches"]["filenames"]
    assert server.files[f"{name}/{picture}"] == (tmp_path / "run" / "search.jpg").read_bytes()
    drawn = json.loads(
        server.files[f"{name}/{received.summary['searches']['all_boxes'][0]['people']['path']}"]
    )
    assert drawn["class_labels"] == {"0": "right", "1": "wrong"}
    assert drawn["box_data"][1]["position"] == {"minX": 20, "minY": 2, "maxX": 29, "maxY": 20}
    assert server.files["run/last.pt"] == b"weights"


def test_the_jobs_of_a_sweep_arrive_as_one_group(tmp_path: Path) -> None:
    with loopback() as server:
        jobs = [
            started(tmp_path / str(seed), tmp_path, url=server.url, mode="online", fallback=False,
                    config={"variant": {"seed": seed}}, name=f"seed {seed}")
            for seed in range(4)
        ]  # fmt: skip
        assert [(job.communicate(timeout=100), job.returncode)[1] for job in jobs] == [0, 0, 0, 0]
    runs = server.runs.values()
    assert {run.facts["groupName"] for run in runs} == {"a study"}
    assert sorted(run.config["variant"]["seed"] for run in runs) == [0, 1, 2, 3]
    assert [run.exit_code for run in runs] == [0] * 4 and server.unknown == set()


def test_a_server_lost_in_mid_run_hurts_nobody_and_gets_the_rest_later(tmp_path: Path) -> None:
    run_directory = tmp_path / "outputs" / "study" / "run"
    with loopback() as server:
        run = started(run_directory, tmp_path, "--pause", "--no-table", url=server.url, mode="online",
                      finish_timeout=1)  # fmt: skip
        assert run.stdout is not None and run.stdout.readline() == "half\n"
    _, said = run.communicate("\n", timeout=60)
    assert run.returncode == 0
    assert said.count("psearch.sync uploads the rest") == 1
    lines = (run_directory / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line).get("step") for line in lines][:3] == [10, 20, 20]

    with loopback() as server:
        assert "1 runs uploaded" in sync(tmp_path, "study", url=server.url)
        assert "nothing to upload" in sync(tmp_path, "study", url=server.url)
    [received] = server.runs.values()
    assert [row["step"] for row in received.history if "step" in row] == [10, 20, 20]
    assert received.summary["best/mAP"] == 0.25 and received.exit_code == 0


@pytest.mark.slow
def test_tables_and_weights_for_a_lost_server_cost_half_a_minute(tmp_path: Path) -> None:
    """wandb waits about 20 s for its server when it is given a table; it is not asked a second time."""
    with loopback() as server:
        run = started(
            tmp_path / "run",
            tmp_path,
            "--pause",
            url=server.url,
            mode="online",
            finish_timeout=1,
            checkpoint=True,
        )
        assert run.stdout is not None and run.stdout.readline() == "half\n"
    before = time.monotonic()
    _, said = run.communicate("\n", timeout=100)
    assert run.returncode == 0 and time.monotonic() - before < 40
    assert said.count("wandb did not take the table comparison") == 1
