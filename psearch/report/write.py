"""The report of a study: every table, plot and the page, from its run directories alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tqdm import tqdm

from psearch.report.comparison import Comparison, compare
from psearch.report.csv_table import csv_table
from psearch.report.curves import read_curves
from psearch.report.figures import figures
from psearch.report.files import write_atomic
from psearch.report.gallery import Gallery
from psearch.report.page import render_page
from psearch.report.plots import write_plots
from psearch.report.searches import RankedSearch
from psearch.report.tables import latex_table, markdown_table
from psearch.types import Scene


@dataclass(frozen=True)
class ReportPaths:
    """Where the parts of a report were written."""

    page: Path
    csv: Path
    markdown: Path
    latex: Path
    plots: tuple[Path, ...]


def write_report(
    study_directory: Path,
    *,
    searches: Mapping[str, Sequence[RankedSearch]] | None = None,
    read: Callable[[int], np.ndarray] | None = None,
    scenes: Sequence[Scene] | None = None,
) -> ReportPaths:
    """Compares the runs of a study and writes the report into it; the same runs give the same files.

    searches: run name (its directory's name) -> its answers. read: scene index -> (h, w, 3) uint8 RGB.
    scenes: the split's scenes, for detections on whole pictures. What is not given is left out of the
    page. Raises ValueError if there is no such study or its runs were measured by unlike protocols.
    """
    study = Path(study_directory)
    return write_comparison(
        compare([study]), study, title=study.resolve().name, searches=searches, read=read, scenes=scenes
    )


def write_comparison(
    comparison: Comparison,
    directory: Path,
    *,
    title: str,
    searches: Mapping[str, Sequence[RankedSearch]] | None = None,
    read: Callable[[int], np.ndarray] | None = None,
    scenes: Sequence[Scene] | None = None,
) -> ReportPaths:
    """The same for any comparison, of several studies for instance."""
    runs = tqdm(comparison.runs, desc="learning curves", unit="run", disable=None)
    curves = {run: read_curves(run.directory / "metrics.jsonl") for run in runs}
    data = figures(comparison, curves) | Gallery(comparison, searches or {}, read).collect(scenes or ())
    return ReportPaths(
        page=write_atomic(directory / "report.html", render_page(title, comparison, data)),
        csv=write_atomic(directory / "comparison.csv", csv_table(comparison)),
        markdown=write_atomic(directory / "comparison.md", markdown_table(comparison)),
        latex=write_atomic(directory / "comparison.tex", latex_table(comparison)),
        plots=write_plots(comparison, curves, directory),
    )
