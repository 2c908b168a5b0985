"""Real wandb, offline, read back by its own reader."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from psearch.tracking.tracker import Frame, Picture
from psearch.tracking.wandb import Wandb

FACTS: dict[str, Any] = {
    "config": {"distill": {"temperature": 4}, "seed": 1},
    "study": "default",
    "name": "oim-tiny-seed1",
    "tags": ["oim", "tiny"],
    "job_type": "train",
    "system_metrics": False,
}


@pytest.fixture(autouse=True)
def no_account(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """As on a machine that never saw wandb, even if this one has."""
    for variable in [name for name in os.environ if name.startswith("WANDB_")]:
        monkeypatch.delenv(variable)
    monkeypatch.setattr("psearch.tracking.session._gave_up", [])
    monkeypatch.setenv("WANDB_SILENT", "true")
    monkeypatch.setenv("WANDB_CONFIG_DIR", str(tmp_path / "config"))
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))


def records(run: Path) -> list[dict[str, Any]]:
    command = [sys.executable, "-m", "wandb", "leet", "inspect", "--json", str(run)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return [json.loads(line) for line in done.stdout.splitlines()]


def of(kind: str, content: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [record[kind] for record in content if record["type"] == kind]


def picture(directory: Path) -> Path:
    Image.new("RGB", (40, 30)).save(directory / "picture.jpg")
    return directory / "picture.jpg"


def attempts(directory: Path) -> list[Path]:
    return sorted((directory / "wandb").glob("offline-run-*"))


def test_a_run_is_mirrored_and_continued_by_its_second_attempt(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), Wandb(directory=tmp_path, **FACTS) as tracker:
        tracker.log({"train/total": 2.0}, step=10, epoch=0.5)
        raise RuntimeError
    with Wandb(directory=tmp_path, **FACTS) as tracker:
        tracker.rewind(1)
        tracker.log({"train/total": 1.0}, step=20, epoch=1)
        tracker.summary({"best/mAP": 0.25})
        tracker.table("variants", ["name", "mAP"], [["alone", 0.1], [3, None]], bar=("name", "mAP"))
        tracker.images("searches", [Picture(picture(tmp_path), "one", (Frame((1, 2, 3, 4), "right"),))])
        logging.getLogger("psearch.somewhere").warning("heard")

    first, second = (records(run) for run in attempts(tmp_path))
    run = of("run", second)[0]
    assert run["run_id"] == of("run", first)[0]["run_id"] == (tmp_path / "wandb_id").read_text()
    assert (run["project"], run["run_group"], run["display_name"]) == ("psearch", "default", "oim-tiny-seed1")
    assert run["job_type"] == "train" and run["tags"] == ["oim", "tiny"]
    assert FACTS["config"].items() <= run["config"]["update"].items()
    assert of("history", second)[0]["item"].items() >= {"train/total": 1, "step": 20, "epoch": 1}.items()
    assert {"best/mAP": 0.25} in [record["update"] for record in of("summary", second)]
    assert "heard" in of("output_logger", second)[0]["line"]
    assert of("exit", first)[0]["exit_code"] == 1 and of("exit", second)[0].get("exit_code", 0) == 0
    assert (
        of("metric", second)[1]["step_metric"] == "step" and of("metric", second)[3]["glob_name"] == "val/*"
    )
    assert "_wandb.visualize.variants_bar" in str(of("config", second))
    assert list((attempts(tmp_path)[1] / "files" / "media" / "metadata" / "boxes2D").glob("searches*.json"))
    table = next((attempts(tmp_path)[1] / "files" / "media" / "table").glob("variants*.json"))
    assert json.loads(table.read_text())["data"] == [["alone", 0.1], [3, None]]

    steps = [json.loads(line).get("step") for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert steps[:2] == [10, 20]
    assert (tmp_path / ".wandb-data").is_dir() and "WANDB_DATA_DIR" not in os.environ


@pytest.mark.parametrize("chosen", [True, False])
def test_the_checkpoint_goes_along_by_choice(tmp_path: Path, chosen: bool) -> None:
    (tmp_path / "last.pt").write_bytes(b"weights")
    with Wandb(directory=tmp_path, checkpoint=chosen, **FACTS) as tracker:
        tracker.checkpoint(tmp_path / "last.pt")
    found = of("artifact", records(attempts(tmp_path)[0]))
    assert [artifact["manifest"]["contents"][0]["path"] for artifact in found] == ["last.pt"] * chosen
    assert len(list(tmp_path.rglob("last.pt"))) == 1  # no second copy on disk


def test_trouble_in_wandb_is_told_once_and_stops_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with Wandb(directory=tmp_path, **FACTS) as tracker:
        for name in ("a", "b"):
            tracker.images(name, [Picture(tmp_path / "gone.jpg")])
            tracker.images(name, [Picture(tmp_path / "gone.jpg")])
        tracker.log({"train/total": 1.0}, step=1)
    warnings = [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]
    assert [text.split(" (")[0] for text in warnings] == [f"wandb did not take the images {n}" for n in "ab"]
    assert (tmp_path / "metrics.jsonl").read_text().count("\n") == 5


def test_runs_of_one_process_stay_apart(tmp_path: Path) -> None:
    for name in ("a", "b"):
        with Wandb(directory=tmp_path / name, **FACTS | {"name": name}) as tracker:
            tracker.log({"train/total": 1.0}, step=1)
    assert len(attempts(tmp_path / "a")) == len(attempts(tmp_path / "b")) == 1
    assert (tmp_path / "a" / "wandb_id").read_text() != (tmp_path / "b" / "wandb_id").read_text()


def test_online_without_a_key_falls_back_with_one_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with Wandb(directory=tmp_path, mode="online", **FACTS) as tracker:
        tracker.log({"train/total": 1.0}, step=1)
    warnings = [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]
    assert len(warnings) == 1 and "WANDB_API_KEY" in warnings[0] and "offline" in warnings[0]
    assert len(attempts(tmp_path)) == 1


def test_online_without_a_key_is_refused_by_choice(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="WANDB_API_KEY.*logger.mode=offline"):
        Wandb(directory=tmp_path, mode="online", fallback=False, **FACTS)


def test_a_server_that_is_not_there_is_waited_for_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("WANDB_API_KEY", "0" * 40)
    monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")
    for name in ("a", "b"):
        with Wandb(directory=tmp_path / name, mode="online", init_timeout=1, **FACTS) as tracker:
            tracker.log({"train/total": 1.0}, step=1)
        assert len(attempts(tmp_path / name)) == 1
    assert [r.levelno for r in caplog.records].count(logging.WARNING) == 1


def test_disabled_keeps_the_lines(tmp_path: Path) -> None:
    with Wandb(directory=tmp_path, mode="disabled", **FACTS) as tracker:
        tracker.log({"train/total": 1.0}, step=1)
    assert (tmp_path / "metrics.jsonl").read_text().count("\n") == 1 and not (tmp_path / "wandb").exists()


def test_an_unknown_mode(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="logger.mode=of: choose offline, online or disabled"):
        Wandb(directory=tmp_path, mode="of", **FACTS)


def test_wandb_is_not_loaded_where_it_is_not_used(tmp_path: Path) -> None:
    script = "import sys, psearch.tracking.wandb, psearch.tracking.jsonl; assert 'wandb' not in sys.modules"
    subprocess.run([sys.executable, "-c", script], check=True, cwd=Path(__file__).parents[2])
