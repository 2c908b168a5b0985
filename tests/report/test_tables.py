"""Tables of text: numbers survive, best values are bold, nothing in a name breaks a format."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest

from psearch.report.comparison import Comparison, compare
from psearch.report.tables import csv_table, latex_table, markdown_table, terminal_table
from tests.report.fake_study import fake_results, fake_study, write_run


@pytest.fixture(scope="module")
def comparison(tmp_path_factory: pytest.TempPathFactory) -> Comparison:
    return compare([fake_study(tmp_path_factory.mktemp("study")).directory])


def nasty(tmp_path: Path) -> Comparison:
    for seed, note in enumerate(["a|b`c` **x** <i> $5_% \\end{x}", "\x1b[31mred\nnew line"]):
        write_run(tmp_path / "s" / str(seed), fake_results(seed=1, overrides=[f"note={note}"]))
    return compare([tmp_path / "s"])


def test_csv_round_trip_is_exact(comparison: Comparison) -> None:
    records = list(csv.DictReader(io.StringIO(csv_table(comparison))))
    assert len(records) == len(comparison.rows)
    for record, row in zip(records, comparison.rows, strict=True):
        assert record["variant"] == row.label and record["role"] == row.role
        for name, value in row.metrics.items():
            assert float(record[name]) == value.mean
            assert record[f"{name}_interval"] == ("" if value.interval is None else str(value.interval))
        assert float(record["parameters"]) == row.costs["parameters"].mean
    taught = next(record for record in records if record["distill"] == "identities")
    assert float(taught["gap_closed"]) > 0 and taught["gap_reference"].startswith("two-step")


def test_markdown_has_one_line_per_row_and_bolds_the_best_student(comparison: Comparison) -> None:
    table = [line for line in markdown_table(comparison).splitlines() if line.startswith("|")]
    assert len(table) == 2 + len(comparison.rows)
    assert len({line.count("|") for line in table}) == 1
    taught = next(line for line in table if "identities" in line)
    alone = next(line for line in table if "baseline" in line)
    teacher = next(line for line in table if "two-step" in line)
    assert taught.split("|")[2].strip().startswith("**")
    assert "**" not in alone.split("|")[2] and "**" not in teacher


def test_latex_bolds_the_best_student_and_escapes(comparison: Comparison, tmp_path: Path) -> None:
    assert latex_table(comparison).count(r"\textbf{") >= 2
    assert r"$\pm$" in latex_table(comparison)
    text = latex_table(nasty(tmp_path))
    assert r"\$5\_\% \textbackslash{}end\{x\}" in text
    assert text.count(r"\end{tabular}") == 1


def test_markdown_and_terminal_survive_nasty_names(tmp_path: Path) -> None:
    comparison = nasty(tmp_path)
    table = [line for line in markdown_table(comparison).splitlines() if line.startswith("|")]
    assert len(table) == 4
    assert r"a\|b\`c\` \*\*x\*\* \<i\>" in markdown_table(comparison)
    assert "\x1b" not in terminal_table(comparison)
    assert "red new line" in terminal_table(comparison)


def test_terminal_table_is_aligned_and_names_reference_and_failures(comparison: Comparison) -> None:
    text = terminal_table(comparison)
    search, others, notes = text.split("\n\n")
    for block in (search, others):
        assert len({len(line) for line in block.splitlines()}) == 1
        assert len(block.splitlines()) == 2 + len(comparison.rows)
        assert max(map(len, block.splitlines())) < 120
    assert "gap closed is measured against two-step oim r18 + reid: two-step mAP 52.0 %" in notes
    assert "failed: oim-tiny-reid-features-seed0-ffffff: ValueError" in notes


def test_no_finished_run_is_no_crash(tmp_path: Path) -> None:
    (tmp_path / "s").mkdir()
    comparison = compare([tmp_path / "s"])
    assert "no run has finished" in terminal_table(comparison)
    assert "No run has finished" in markdown_table(comparison)
    assert latex_table(comparison).count("tabular") == 2
    assert len(csv_table(comparison).splitlines()) == 1
