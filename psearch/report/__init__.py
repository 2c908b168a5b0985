"""Comparison and report of a study, from its run directories alone."""

from psearch.report.comparison import Comparison, compare
from psearch.report.searches import RankedSearch, Result
from psearch.report.tables import terminal_table
from psearch.report.write import ReportPaths, write_comparison, write_report

__all__ = [
    "Comparison",
    "RankedSearch",
    "ReportPaths",
    "Result",
    "compare",
    "terminal_table",
    "write_comparison",
    "write_report",
]
