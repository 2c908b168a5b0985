"""report.html: one file with everything in it, safe to open from anywhere."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from tqdm import tqdm

from psearch.files import replace_text
from psearch.records import COSTS
from psearch.report.comparison import Comparison
from psearch.report.curves import read_curves
from psearch.report.figures import figures, styles
from psearch.report.headline import command, featured, headline
from psearch.report.pictures import PagePictures
from psearch.report.plots import write_plots
from psearch.report.runs import METRICS
from psearch.report.searches import RankedSearch
from psearch.report.tables import NOTE, amount, csv_table, footnotes, is_best, latex_table, markdown_table
from psearch.types import Scene

ASSETS = Path(__file__).with_name("assets")
SCRIPTS = ("dom", "chart", "table", "frontier", "bars", "curves", "searches", "difference", "configs")
MACHINE = ("cpu", "cores", "python", "torch")


def render_page(title: str, comparison: Comparison, data: Mapping[str, Any]) -> str:
    """The page as text. data: what the scripts draw (`figures` and `PagePictures`), JSON-ready.

    Whatever came from a config, a file name or an error is escaped: by the template where it is text,
    by `script_json` where it is data; the scripts only ever set text, never markup.
    """
    environment = Environment(
        loader=FileSystemLoader(ASSETS),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals |= {"amount": amount, "command": command, "is_best": is_best}
    return environment.get_template("page.html").render(
        title=title,
        comparison=comparison,
        sentences=headline(comparison),
        featured=featured(comparison),
        metrics=METRICS,
        costs=COSTS,
        modes=styles(row.mode for row in comparison.rows),
        note=NOTE,
        notes=footnotes(comparison),
        provenance=_provenance(comparison),
        style=(ASSETS / "page.css").read_text(encoding="utf-8"),
        script="\n".join((ASSETS / f"{name}.js").read_text(encoding="utf-8") for name in SCRIPTS),
        data=script_json(data),
    )


def script_json(data: object) -> str:
    """JSON that is safe inside a <script> element: no character in it can end the element."""
    text = json.dumps(data, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def _provenance(comparison: Comparison) -> list[tuple[str, str]]:
    """Where the numbers come from: one value if all runs agree, else each with its count."""
    facts: dict[str, Counter[str]] = {}

    def note(name: str, value: object) -> None:
        if value not in (None, "", {}):
            facts.setdefault(name, Counter())[str(value)] += 1

    for run in comparison.runs:
        for name, value in run.record.protocol.items():
            note(name.replace("_", " "), value)
        code, machine, cost = run.record.code, run.record.machine, run.record.cost
        note(
            "commit",
            code.get("commit") and f"{code['commit']}{' with uncommitted changes' * bool(code.get('dirty'))}",
        )
        note("machine", ", ".join(f"{part} {machine[part]}" for part in MACHINE if part in machine))
        if "latency_ms" in cost:
            note(
                "latency measured on",
                f"{cost.get('device')}, threads {cost.get('threads')}, input {cost.get('input')}",
            )
    seconds = sum(run.record.training.get("seconds") or 0 for run in comparison.runs)
    note("training time, all runs together", f"{seconds / 60:.0f} min" if seconds else None)
    return [(name, _counted(values)) for name, values in facts.items()]


def _counted(values: Counter[str]) -> str:
    if len(values) == 1:
        return next(iter(values))
    named = [f"{value} ({count} run{'s' * (count > 1)})" for value, count in values.most_common(5)]
    return "; ".join([*named, f"and {len(values) - 5} more"] if len(values) > 5 else named)


@dataclass(frozen=True)
class ReportPaths:
    """Where the parts of a report were written."""

    page: Path
    csv: Path
    markdown: Path
    latex: Path
    plots: tuple[Path, ...]


def write_comparison(
    comparison: Comparison,
    directory: Path,
    *,
    title: str,
    searches: Mapping[str, Sequence[RankedSearch]] | None = None,
    read: Callable[[int], np.ndarray] | None = None,
    scenes: Sequence[Scene] | None = None,
) -> ReportPaths:
    """Write a comparison as a page, tables and plots into `directory`; the same runs give the same files.

    searches: run name (its directory's name) -> its answers. read: scene index -> (h, w, 3) uint8 RGB.
    scenes: the split's scenes, for detections on whole pictures. What is not given is left out of the page.
    """
    directory.mkdir(parents=True, exist_ok=True)
    runs = tqdm(comparison.runs, desc="learning curves", unit="run", disable=None)
    curves = {run: read_curves(run.directory / "metrics.jsonl") for run in runs}
    data = figures(comparison, curves) | PagePictures(comparison, searches or {}, read).collect(scenes or ())
    return ReportPaths(
        page=replace_text(directory / "report.html", render_page(title, comparison, data)),
        csv=replace_text(directory / "comparison.csv", csv_table(comparison)),
        markdown=replace_text(directory / "comparison.md", markdown_table(comparison)),
        latex=replace_text(directory / "comparison.tex", latex_table(comparison)),
        plots=write_plots(comparison, curves, directory),
    )
