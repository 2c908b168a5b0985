"""Several studies in one comparison, or a refusal that names what differs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import psearch.studies.compare
from psearch.studies.compare import compare_studies
from tests.report.fake_study import fake_study


@pytest.fixture
def studies(tmp_path: Path) -> list[Path]:
    """The same variants in two studies: seeds 1 and 2, and seed 3."""
    made = [fake_study(tmp_path / "1", failed=0), fake_study(tmp_path / "2", seeds=[3], failed=0)]
    return [
        study.directory.rename(tmp_path / name) for study, name in zip(made, ("mine", "yours"), strict=True)
    ]


def test_studies_of_different_data_are_refused_before_any_work(studies: list[Path]) -> None:
    """Their configs name no data: building it would fail in another way."""
    for path in studies[1].glob("*/results.json"):
        results = json.loads(path.read_text())
        results["protocol"]["fingerprint"] = "of other data"
        path.write_text(json.dumps(results))
    with pytest.raises(ValueError, match="fingerprint: 'f1e2d3c4b5a6' and 'of other data'") as refusal:
        compare_studies(studies)
    assert "(mine/oim-" in str(refusal.value) and "(yours/oim-" in str(refusal.value)
    assert not list(studies[0].glob("report.html"))


def test_a_study_that_is_not_there(studies: list[Path]) -> None:
    with pytest.raises(ValueError, match="there is no study ours in .*: there are .*mine, yours"):
        compare_studies([studies[0], studies[0].with_name("ours")])


def test_seeds_of_two_studies_make_one_row_and_nobody_is_told(
    studies: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A comparison of several studies is for reading: trackers hear of their own study only."""
    monkeypatch.setattr(psearch.studies.compare, "students", lambda study: [])  # they name no data to draw
    table = compare_studies(studies, tmp_path / "both")
    taught = next(line for line in table.splitlines() if line.startswith("oim tiny identities"))
    assert taught.endswith("1 2 3")
    assert (tmp_path / "both" / "report.html").exists() and (tmp_path / "both" / "comparison.tex").exists()
    assert not list(tmp_path.rglob(".comparison"))
