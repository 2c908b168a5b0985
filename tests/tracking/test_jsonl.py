"""metrics.jsonl is complete to the last row and holds each row once."""

from __future__ import annotations

import json
import logging
import math
from pathlib import Path

import numpy as np
import pytest

from psearch.tracking.jsonl import JsonLines, read_summary
from psearch.tracking.progress import Progress
from psearch.tracking.tracker import Frame, Picture
from tests.disk import files_no_larger_than


def lines(directory: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in (directory / "metrics.jsonl").read_text().splitlines()]


def test_a_row_is_on_disk_when_log_returns(tmp_path: Path) -> None:
    tracker = JsonLines(directory=tmp_path)
    tracker.log({"train/total": 1.5}, step=10, epoch=0.5)
    assert lines(tmp_path) == [{"step": 10, "epoch": 0.5, "train/total": 1.5}] and tracker.rows == 1


def test_all_kinds_of_lines(tmp_path: Path) -> None:
    with JsonLines(directory=tmp_path) as tracker:
        tracker.summary({"best/mAP": 0.25})
        tracker.table("variants", ["name", "mAP"], [["alone", 0.1], ["taught", math.nan]])
        tracker.images("searches", [Picture(Path("a.jpg"), "one", (Frame((1, 2, 3, 4), "right"),))])
        tracker.checkpoint(Path("last.pt"))
    assert lines(tmp_path) == [
        {"summary": {"best/mAP": 0.25}},
        {"table": "variants", "columns": ["name", "mAP"], "rows": [["alone", 0.1], ["taught", None]]},
        {
            "images": "searches",
            "pictures": [
                {
                    "path": "a.jpg",
                    "caption": "one",
                    "frames": [{"box": [1, 2, 3, 4], "label": "right", "caption": ""}],
                }
            ],
        },
    ]


def test_the_summary_is_what_was_said_last(tmp_path: Path) -> None:
    assert read_summary(tmp_path) == {}
    with JsonLines(directory=tmp_path) as tracker:
        tracker.summary({"best/mAP": 0.25, "protocol/dataset": "prw"})
        tracker.log({"train/total": 1.0}, step=1)
        tracker.summary({"best/mAP": 0.5})
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"summary": {"best/mAP": 0.7')
    assert read_summary(tmp_path) == {"best/mAP": 0.5, "protocol/dataset": "prw"}


def test_numbers_json_lacks_and_numpys(tmp_path: Path) -> None:
    with JsonLines(directory=tmp_path) as tracker:
        tracker.log({"a": math.nan, "b": -math.inf, "c": np.float32(0.5), "d": np.int64(3)})  # type: ignore[dict-item]
    assert lines(tmp_path) == [{"a": None, "b": None, "c": 0.5, "d": 3}]


def test_another_attempt_goes_on_where_the_checkpoint_was(tmp_path: Path) -> None:
    with JsonLines(directory=tmp_path) as tracker:
        for step in range(5):
            tracker.log({"loss": 1.0}, step=step)
    with JsonLines(directory=tmp_path) as tracker:
        assert tracker.rows == 5
        tracker.rewind(3)
        tracker.log({"loss": 2.0}, step=3)
    assert [row["step"] for row in lines(tmp_path)] == [0, 1, 2, 3]
    assert lines(tmp_path)[-1]["loss"] == 2.0


def test_a_line_cut_short_by_a_kill_is_dropped(tmp_path: Path) -> None:
    (tmp_path / "metrics.jsonl").write_text('{"step": 0}\n{"step": 1}\n{"st')
    with JsonLines(directory=tmp_path) as tracker:
        tracker.log({}, step=2)
    assert [row["step"] for row in lines(tmp_path)] == [0, 1, 2]


def test_a_full_disk_is_named_and_costs_only_the_row(tmp_path: Path) -> None:
    with (
        pytest.raises(OSError, match="cannot write .*metrics.jsonl: File too large"),
        JsonLines(directory=tmp_path) as tracker,
    ):
        tracker.log({"loss": 1.0}, step=0)
        with files_no_larger_than(40):
            tracker.log({"loss": 1.0}, step=1)
    assert len((tmp_path / "metrics.jsonl").read_bytes()) == 40  # half a row
    with JsonLines(directory=tmp_path) as tracker:
        tracker.log({"loss": 1.0}, step=1)
    assert [row["step"] for row in lines(tmp_path)] == [0, 1]


def test_progress_is_told_in_dated_lines_where_there_is_no_terminal(
    caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.INFO)
    with Progress("training", total=10, done=6, every_s=0) as progress:
        progress.show({"total": 1.23456})
        for _ in range(4):
            progress.advance()
    assert len(caplog.messages) == 4
    assert caplog.messages[0].startswith("training 7/10, ") and caplog.messages[0].endswith(
        "left, total=1.235"
    )
    assert caplog.messages[-1].startswith("training 10/10") and "0:00:00 left" in caplog.messages[-1]
    assert "\r" not in capsys.readouterr().err


def test_progress_is_quiet_between_lines(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    with Progress("training", total=1000, every_s=3600) as progress:
        for _ in range(1000):
            progress.advance()
    assert not caplog.messages
