"""The comparison as PNG pictures, for a README or a paper."""

from __future__ import annotations

import io
from collections.abc import Sequence
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, LogLocator, NullLocator

from psearch.files import replace_bytes
from psearch.records import COSTS
from psearch.report.comparison import Comparison
from psearch.report.curves import order, thin
from psearch.report.figures import Curves, Style, styles
from psearch.report.row import Row

LOOK: Any = {
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.alpha": 0.25,
    "axes.axisbelow": True,
    "text.parse_math": False,
}


def write_plots(comparison: Comparison, curves: Curves, directory: Path) -> tuple[Path, ...]:
    """bars.png, frontier.png and curves.png in that directory; a plot without data is left out.
    curves: run -> metric -> {position: value}."""
    modes = styles(row.mode for row in comparison.rows)
    with matplotlib.rc_context(LOOK):
        drawn = {
            "bars.png": draw_bars(comparison, modes),
            "frontier.png": draw_frontier(comparison, modes),
            "curves.png": draw_curves(comparison, curves, modes),
        }
    return tuple(replace_bytes(directory / name, _png(figure)) for name, figure in drawn.items() if figure)


def draw_bars(comparison: Comparison, modes: dict[str, Style]) -> Figure | None:
    """Search mAP by distillation mode: bar = mean, whisker = standard deviation over seeds, dot = a seed."""
    rows = [row for row in comparison.students if "mAP" in row.metrics]
    if not rows:
        return None
    figure = Figure(figsize=(min(24.0, max(4.5, 1.1 + 0.62 * len(rows))), 4.2), layout="constrained")
    axes = figure.subplots()
    sizes = [row.axes[:2] for row in rows]
    steps = [0.0, *(1.0 if size == before else 1.5 for before, size in pairwise(sizes))]
    places = list(accumulate(steps))
    for place, row in zip(places, rows, strict=True):
        _draw_bar(axes, place, row, modes[row.mode])
    _draw_references(axes, comparison)
    axes.set_xticks(places, [_short(row) for row in rows], rotation=30, ha="right", fontsize=8)
    axes.set_ylabel("search mAP, %")
    axes.set_xlim(-0.7, places[-1] + 0.7)
    axes.grid(axis="x", visible=False)
    _legend(axes, {row.mode: modes[row.mode] for row in rows})
    return figure


def _draw_bar(axes: Axes, place: float, row: Row, style: Style) -> None:
    value = row.metrics["mAP"]
    spread = None if value.spread is None else 100 * value.spread
    whisker = {"ecolor": "#333", "capsize": 3, "lw": 1.1}
    axes.bar(place, 100 * value.mean, 0.72, color=style.colour, alpha=0.75, yerr=spread, error_kw=whisker)
    count = len(value.values)
    places = [place + 0.3 * ((i + 0.5) / count - 0.5) for i in range(count)]
    seeds = [100 * single for single in value.values]
    axes.scatter(places, seeds, s=16, color="white", edgecolor="#222", lw=0.9, zorder=4)


def _draw_references(axes: Axes, comparison: Comparison) -> None:
    """A dashed line for each teacher (or two-step system) that searches."""
    for row in comparison.rows:
        if row.role != "student" and "mAP" in row.metrics:
            level = 100 * row.metrics["mAP"].mean
            axes.axhline(level, color="#666", lw=1, ls="--")
            above = axes.annotate(row.label, (1, level), (0, 2), ("axes fraction", "data"), "offset points")
            above.set(ha="right", va="bottom", fontsize=7, color="#555")


def draw_frontier(comparison: Comparison, modes: dict[str, Style]) -> Figure | None:
    """Search mAP against parameters, MACs and latency; a line joins the sizes of one distillation mode."""
    rows = [row for row in comparison.rows if "mAP" in row.metrics and row.costs]
    if not rows:
        return None
    figure = Figure(figsize=(11.5, 3.8), layout="constrained")
    panels = figure.subplots(1, 3, sharey=True)
    for axes, cost in zip(panels, ("parameters", "macs", "latency_ms"), strict=True):
        for mode in sorted({row.mode for row in rows}):
            mine = [row for row in rows if row.mode == mode and cost in row.costs]
            _draw_mode(axes, mine, cost, modes[mode])
        axes.set(xscale="log", xlabel=COSTS[cost])
        axes.xaxis.set(major_locator=LogLocator(subs=(1, 2, 5)), minor_locator=NullLocator())
        axes.xaxis.set_major_formatter(EngFormatter(sep=" "))
    panels[0].set_ylabel("search mAP, %")
    _legend(panels[0], {row.mode: modes[row.mode] for row in rows})
    return figure


def _draw_mode(axes: Axes, rows: Sequence[Row], cost: str, style: Style) -> None:
    ordered = sorted(rows, key=lambda row: row.costs[cost].mean)
    x, y = [row.costs[cost].mean for row in ordered], [100 * row.metrics["mAP"].mean for row in ordered]
    spread = [100 * (row.metrics["mAP"].spread or 0) for row in ordered]
    one_line = {(row.role, row.axes[0], row.axes[2], row.differing) for row in ordered}
    line = "-" if len(one_line) == 1 and len(ordered) > 1 else ""
    axes.errorbar(x, y, spread, color=style.colour, marker=style.marker, ms=7, ls=line, lw=1.2, capsize=2)


def draw_curves(comparison: Comparison, curves: Curves, modes: dict[str, Style]) -> Figure | None:
    """Validation mAP (else the first metric) of every student's run over its training."""
    students = [(row, curves.get(run, {})) for row in comparison.students for run in row.runs]
    names = sorted({name for _, metrics in students for name in metrics}, key=order)
    if not names:
        return None
    figure = Figure(figsize=(6.4, 3.8), layout="constrained")
    axes = figure.subplots()
    drawn = [(row.mode, metrics[names[0]]) for row, metrics in students if names[0] in metrics]
    for mode, curve in drawn:
        axes.plot(*thin(curve, 200), color=modes[mode].colour, lw=1.3, alpha=0.8)
    axes.set(xlabel="step", ylabel=names[0])
    _legend(axes, {mode: modes[mode] for mode, _ in drawn})
    return figure


def _legend(axes: Axes, modes: dict[str, Style]) -> None:
    for mode, style in modes.items():
        axes.plot([], [], color=style.colour, marker=style.marker, ls="", label=mode)
    figure = axes.get_figure(root=True)
    assert figure is not None
    figure.legend(
        *axes.get_legend_handles_labels(), frameon=False, loc="outside upper center", ncols=min(6, len(modes))
    )


def _short(row: Row) -> str:
    label = row.label
    return label if len(label) <= 40 else f"{label[:39]}…"


def _png(figure: Figure) -> bytes:
    target = io.BytesIO()
    figure.savefig(target, format="png", dpi=150, metadata={"Software": None})
    return target.getvalue()
