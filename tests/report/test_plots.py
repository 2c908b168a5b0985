"""Curves and plots."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from psearch.report.comparison import compare
from psearch.report.curves import read_curves, thin
from psearch.report.figures import KNOWN, styles
from psearch.report.plots import draw_bars, draw_curves, draw_frontier
from tests.report.fake_study import fake_results, fake_study, write_run


def test_curves_survive_resumed_runs_nested_parts_and_broken_lines(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    lines = [
        '{"step": 1, "loss": 5, "val": {"mAP": 0.1}}',
        '{"step": 2, "loss": 4}',
        '{"step": 2, "loss": 3}',
    ]
    path.write_text("\n".join([*lines, '{"step": 3, "loss": NaN}', "[1]", '{"step": 4, "lo']))
    assert read_curves(path) == {"loss": {1: 5, 2: 3}, "val/mAP": {1: 0.1}}
    path.write_text('{"epoch": 0, "mAP": 0.1}\n{"epoch": 1, "mAP": 0.2, "fast": true}')
    assert read_curves(path) == {"mAP": {0: 0.1, 1: 0.2}}
    assert read_curves(tmp_path / "missing") == {}


def test_thinned_curves_are_means_of_neighbours() -> None:
    x, y = thin({float(step): float(step % 2) for step in range(1000)}, 10)
    assert len(x) == 10 and x[0] == pytest.approx(49.5) and y == [0.5] * 10
    assert thin({3.0: 1.0, 1.0: 2.0}, 10) == ([1.0, 3.0], [2.0, 1.0])


def test_a_mode_has_the_same_style_in_every_study() -> None:
    assert styles(["baseline", "identities"])["identities"] == styles(["identities", "full"])["identities"]
    assert styles(["my_term"]) == styles(["my_term"])
    everyone = styles([*KNOWN, "mine", "yours"])
    assert everyone["mine"].colour and {k: everyone[k] for k in KNOWN} == KNOWN


def test_bars_have_a_dot_per_seed_and_a_line_per_teacher(tmp_path: Path) -> None:
    comparison = compare([fake_study(tmp_path, seeds=[1, 2, 3]).directory])
    figure = draw_bars(comparison, styles(row.mode for row in comparison.rows))
    assert figure is not None
    axes = figure.axes[0]
    heights = [bar.get_height() for bar in axes.patches]  # type: ignore[attr-defined]
    assert heights == pytest.approx([100 * row.metrics["mAP"].mean for row in comparison.students])
    counts = [len(np.asarray(dots.get_offsets())) for dots in axes.collections]
    assert [count for count in counts if count > 1] == [3, 3]
    assert [text.get_text() for text in axes.texts] == ["two-step oim r18 + reid"]


def test_the_frontier_has_a_panel_per_cost_and_plots_without_data_are_left_out(tmp_path: Path) -> None:
    study = tmp_path / "s"
    write_run(study / "a", fake_results())
    comparison = compare([study])
    figure = draw_frontier(comparison, styles(["baseline"]))
    assert figure is not None
    assert [axes.get_xlabel() for axes in figure.axes] == ["parameters", "MACs", "latency, ms"]
    assert draw_curves(comparison, {}, styles(["baseline"])) is None
    write_run(study / "a", fake_results(mAP=None, role="teacher"))
    comparison = compare([study])
    assert draw_bars(comparison, {}) is None and draw_frontier(comparison, {}) is None
