"""Published numbers stand beside ours only where the same thing was measured."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from psearch.report.comparison import compare
from psearch.report.published import published_notes
from psearch.report.tables import markdown_table, terminal_table
from tests.report.fake_study import fake_results, write_run

CUHK = {"dataset": "cuhk_sysu", "gallery_size": 100}
CONFIG = {"published": "bmvc2019"}


def study(home: Path, *, config: dict[str, Any] | None = None, **changes: Any) -> Path:
    settings = {"mAP": 0.701, "compression": "r18_imagenet", "protocol": CUHK} | changes
    write_run(home / "a", fake_results(**settings), config=CONFIG if config is None else config)
    return home


def test_published_ours_and_the_difference(tmp_path: Path) -> None:
    comparison = compare([study(tmp_path)])
    [note] = published_notes(comparison)
    assert "oim r18_imagenet baseline" in note and "mAP 69.1, here 70.1 (+1.0)" in note
    assert "recall 81.6, here 88.0 (+6.4)" in note
    assert note in terminal_table(comparison) and "69.1, here 70.1" in markdown_table(comparison)


def test_the_distilled_student_stands_beside_the_one_of_the_papers_teacher(tmp_path: Path) -> None:
    taught = {"distill": "identities", "teacher": "reid_r50", "mAP": 0.8}
    [note] = published_notes(compare([study(tmp_path, **taught)]))
    assert "with QEEPS as teacher" in note and "mAP 82.4, here 80.0 (-2.4)" in note


@pytest.mark.parametrize(
    "changes",
    [
        {"config": {"published": None}},
        {"protocol": {"dataset": "cuhk_sysu", "gallery_size": 50}},
        {"protocol": {"dataset": "synthetic", "gallery_size": 100}},
        {"compression": "tiny"},
        {"distill": "detector", "teacher": "detector_r50"},
    ],
)
def test_nothing_is_said_of_unlike_things(tmp_path: Path, changes: dict[str, Any]) -> None:
    assert not list(published_notes(compare([study(tmp_path, **changes)])))


def test_an_unknown_set_names_the_known_and_costs_nothing_else(tmp_path: Path) -> None:
    comparison = compare([study(tmp_path, config={"published": "bmvc2018"})])
    [note] = published_notes(comparison)
    assert "published=bmvc2018" in note and "choose one of bmvc2019" in note
    assert note in terminal_table(comparison)
