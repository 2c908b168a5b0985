"""A wandb workspace that shows a study as the report does; the names in it are those that runs log."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import wandb_workspaces.reports.v2 as wr
import wandb_workspaces.workspaces as ws

from psearch.identity import AXES

COSTS = {"parameters": "parameters", "macs": "MACs", "latency_ms": "latency, ms", "file_bytes": "file, bytes"}
KINDS = "JobType in ['student', 'evaluation', 'comparison']"
BY_MODE: dict[str, Any] = {
    "groupby": wr.Config("variant.distill"),
    "groupby_aggfunc": "mean",
    "groupby_rangefunc": "stddev",
}


def workspace(
    *,
    entity: str,
    project: str,
    name: str,
    study: str | None,
    metric: str,
    losses: Sequence[str],
    colours: Mapping[str, str],
) -> ws.Workspace:
    """The workspace, not saved yet: no request to a server.

    study: one study, or None for all of the project. metric: an accuracy in the summary, like `test/mAP`.
    losses: names without `train/`. colours: distillation mode -> "#rrggbb".
    """
    return ws.Workspace(
        entity=entity,
        project=project,
        name=name,
        sections=[
            _section("Frontier: accuracy against cost", [_scatter(metric, c) for c in COSTS], columns=2),
            _section("Distillation", [_bars(key) for key in ("gap_closed", "gain", metric)]),
            _section("What decides", _choices(metric), columns=1),
            _section("Learning curves", _curves(losses)),
            _section("Comparison, searches, configs", _details(), columns=1),
        ],
        settings=ws.WorkspaceSettings(max_runs=100),
        runset_settings=ws.RunsetSettings(
            filters=KINDS if study is None else f"{KINDS} and Group = {study!r}",
            groupby=[ws.Config("variant.distill"), ws.Config("variant.compression")],
            group_colors={mode: colour for mode, colour in colours.items()},
            pinned_columns=[f"summary:{key}" for key in (metric, "gain", "gap_closed", "cost/parameters")],
        ),
    )


def _section(title: str, panels: Sequence[Any], *, columns: int = 3) -> ws.Section:
    layout = ws.SectionLayoutSettings(columns=columns, rows=-(-len(panels) // columns))
    return ws.Section(name=title, panels=list(panels), is_open=True, layout_settings=layout)


def _scatter(metric: str, cost: str) -> Any:
    """The line is the best accuracy so far: the frontier."""
    x, y = wr.SummaryMetric(f"cost/{cost}"), wr.SummaryMetric(metric)
    return wr.ScatterPlot(title=f"{metric} against {COSTS[cost]}", x=x, y=y, log_x=True, running_ymax=True)


def _bars(key: str) -> Any:
    title = f"{key.replace('_', ' ')}: mean and standard deviation over runs"
    return wr.BarPlot(title=title, metrics=[key], **BY_MODE)


def _choices(metric: str) -> list[Any]:
    column = wr.ParallelCoordinatesPlotColumn
    choices = [column(wr.Config(f"variant.{axis}"), display_name=axis) for axis in (*AXES, "seed")]
    outcome = [column(wr.SummaryMetric("cost/parameters"), log=True), column(wr.SummaryMetric(metric))]
    return [
        wr.ParallelCoordinatesPlot(title="choices and outcome", columns=[*choices, *outcome]),
        wr.ParameterImportancePlot(with_respect_to=metric),
    ]


def _curves(losses: Sequence[str]) -> list[Any]:
    """Validation against epochs, losses against steps: mean and standard deviation by distillation mode."""
    names = [f"train/{loss}" for loss in ("total", *losses)]
    return [
        wr.LinePlot(title="val/mAP", x="epoch", y=["val/mAP"], **BY_MODE),
        *(wr.LinePlot(title=name, x="step", y=[name], **BY_MODE) for name in names),
        wr.LinePlot(title="distillation terms", x="step", metric_regex="train/distill/.*", **BY_MODE),
    ]


def _details() -> list[Any]:
    return [
        wr.WeavePanelSummaryTable(table_name="comparison"),
        wr.WeavePanelSummaryTable(table_name="per_query"),
        wr.MediaBrowser(title="example searches", media_keys=["searches"]),
        wr.RunComparer(diff_only="split"),
    ]
