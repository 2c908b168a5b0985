"""A study is compared from its records alone: elsewhere, read-only, without its teachers or its data."""

from __future__ import annotations

import csv
import ctypes
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from psearch.build import build
from psearch.records import RunRecord
from psearch.report.figures import figures
from psearch.report.page import render_page
from psearch.report.tables import csv_table, terminal_table
from psearch.studies import compare, references
from psearch.studies.compare import compare_studies
from psearch.studies.train import run
from tests.report.fake_study import fake_study
from tests.study import composed, teachers
from tests.test_records import mutants

CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH, PR_CAPBSET_DROP = 1, 2, 24
ROOT = Path(__file__).parents[2]
REPORT = ["report.html", "comparison.csv", "comparison.md", "comparison.tex", "bars.png", "frontier.png"]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The outputs of a study that was compared where it was made: a baseline and a distilled student."""
    home = tmp_path_factory.mktemp("made")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(home)
        threads = torch.get_num_threads()
        for overrides in ((), (*teachers("reid"), "distill=identities")):
            run(*composed("study=small", *overrides))
        torch.set_num_threads(threads)
        text = compare_studies([Path("outputs/small")], device="cpu")
    assert "not made again" not in text and "no pictures" not in text and "Report: outputs/small" in text
    return home / "outputs"


@pytest.fixture
def travelled(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The study alone, copied to another machine; the working directory is another one."""
    study = tmp_path / "inbox" / "small"
    shutil.copytree(made / "small", study)
    for name in [*REPORT, "curves.png"]:
        (study / name).unlink()
    (tmp_path / "desk").mkdir()
    monkeypatch.chdir(tmp_path / "desk")
    return study


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "comparison.csv").open() as file:
        return list(csv.DictReader(file))


def no_data(node: Any) -> Any:
    raise ValueError("no annotations in datasets/prw: set data.root")


def test_it_needs_neither_teachers_nor_data(
    made: Path, travelled: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compare, "build", no_data)
    text = compare_studies([travelled], device="cpu")
    assert rows(travelled) == rows(made / "small") and len(rows(travelled)) == 4
    assert [line for line in text.splitlines() if "not here" in line] == [
        "no pictures: the data is not here (no annotations in datasets/prw: set data.root)"
    ]
    assert "data:image/jpeg" not in (travelled / "report.html").read_text()


def test_other_data_under_the_same_name_gives_no_pictures(
    travelled: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compare, "build", lambda node: replace(build(node), fingerprint="of others"))
    text = compare_studies([travelled], device="cpu")
    assert "no pictures: the data here is other data (of others, measured on " in text


def test_pictures_that_are_gone_are_said(travelled: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(index: int) -> Any:
        raise OSError(f"no such file: s{index}.jpg")

    def emptied(node: Any) -> Any:
        benchmark = build(node)
        return replace(benchmark, test=replace(benchmark.test, read=gone))

    monkeypatch.setattr(compare, "build", emptied)
    assert "no pictures: the scenes are not here (no such file: s0.jpg)" in compare_studies([travelled])


def test_a_reference_that_should_be_another_and_cannot_be_made_is_said(travelled: Path) -> None:
    [row] = travelled.glob("reid-*")
    record = RunRecord.load(row)
    evaluation = {**record.made_from["evaluation"], "split": "val"}
    replace(record, made_from={**record.made_from, "evaluation": evaluation}).write(row)
    [note] = [line for line in compare_studies([travelled]).splitlines() if "not made again" in line]
    assert note == (
        f"teacher reference of reid not made again (its checkpoint is not here: outputs/teachers/{row.name})"
        ": the one in the records is used, which was made from another evaluation"
    )
    shutil.rmtree(row)
    text = compare_studies([travelled])
    assert f"outputs/teachers/{row.name}): there is none in the records" in text
    assert f"no gap closed: the teacher's result is missing (outputs/teachers/{row.name})" in text


def test_a_reference_is_known_by_the_content_of_what_it_was_made_from(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A detector of that name with other detections makes another two-step system; a teacher's file with
    other weights makes no reference."""
    home = tmp_path / "moved" / "outputs"
    shutil.copytree(made, home)
    monkeypatch.chdir(tmp_path)
    [system] = (home / "small").glob("two-step-*")
    record = RunRecord.load(system)
    assert record.made_from["teacher"] == record.teachers[0].fingerprint
    replace(record, made_from={**record.made_from, "detections": "of another"}).write(system)
    assert "not made again" not in compare_studies([home / "small"], device="cpu")
    again = RunRecord.load(system)
    assert again.made_from == record.made_from and again.metrics == record.metrics

    replace(record, made_from={**record.made_from, "detections": "of another"}).write(system)
    monkeypatch.setattr(references, "weights_print", lambda network: "other")
    text = compare_studies([home / "small"], device="cpu")
    assert "holds other weights than its students learned from" in text


def as_no_superuser() -> None:
    """Root may write where the mode forbids it; what is run after this may not."""
    if os.geteuid() == 0:
        libc = ctypes.CDLL(None, use_errno=True)
        for capability in (CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH):
            if libc.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0):
                raise OSError(ctypes.get_errno(), "prctl")


TWICE = """
from pathlib import Path
from psearch.studies.compare import compare_studies
study = [Path("../inbox/small")]
print(compare_studies(study, device="cpu"), compare_studies(study, Path("report"), device="cpu"), sep="\\0")
"""


@pytest.mark.skipif(sys.platform != "linux", reason="drops the rights of root as Linux has them")
def test_a_read_only_study_says_where_its_report_can_go(made: Path, travelled: Path) -> None:
    places = [travelled, *travelled.rglob("*")]
    for path in places:
        path.chmod(0o555 if path.is_dir() else 0o444)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", TWICE], env=environment, text=True, capture_output=True,
        preexec_fn=as_no_superuser,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    beside, elsewhere = done.stdout.split("\0")
    assert "oim tiny identities from reid" in beside and "two-step" in beside
    assert "No report: ../inbox/small cannot be written to (Permission denied): say where with --to" in beside
    assert "Not logged to the study's tracker: ../inbox/small is read-only" in beside
    assert "Report: report/report.html" in elsewhere
    assert rows(Path("report")) == rows(made / "small")
    assert {path.name for path in Path("report").iterdir()} >= set(REPORT)
    assert sorted(travelled.rglob("*")) == sorted(places[1:])
    for path in places:
        path.chmod(0o755)  # so that the folder can be removed


def test_a_damaged_run_costs_its_row_and_not_the_comparison(tmp_path: Path) -> None:
    study = fake_study(tmp_path, seeds=[1, 2, 3], failed=0).directory
    first, second, third = sorted(study.glob("oim-*-none-*"))
    (first / "results.json").write_text((first / "results.json").read_text()[:200])
    (second / "metrics.jsonl").write_bytes(b'\xff\x00{"step": 1e999}\n[]\n3\n{"summary": 3}\n' + b"[" * 9999)
    (second / "cost.json").write_text('{"cost": {"macs": "many"}}')
    (second / "detections.npz").write_bytes(b"PK")
    (second / "ranking.npz").write_bytes(b"PK")
    (third / "config.yaml").write_bytes(b"seed: [1\xff")
    text = compare_studies([study], device="cpu")
    failed = [line for line in text.splitlines() if line.startswith("failed: ")]
    assert [line.split(": ")[1] for line in failed] == [first.name, third.name]
    assert "results.json is not usable" in failed[0] and "config.yaml is not usable" in failed[1]
    seeds = {row["variant"]: row["seeds"] for row in rows(study)}
    assert seeds["oim tiny baseline"] == "2" and seeds["oim tiny identities from reid"] == "1 2 3"
    assert (study / "report.html").exists()


def test_what_a_foreign_config_lacks_is_said(tmp_path: Path) -> None:
    """The configs of this made-up study name no data, no teachers and no logger."""
    text = compare_studies([fake_study(tmp_path, seeds=[1], failed=0).directory], device="cpu")
    assert "no pictures: the data is not here (no 'data' in its config)" in text
    assert "reference of reid not made again (no 'reid' in its config): there is none in the records" in text
    assert "Not logged to the study's tracker: no 'logger' in its config" in text


def test_no_accident_to_a_record_brings_down_the_comparison_or_its_page(tmp_path: Path) -> None:
    study = fake_study(tmp_path, seeds=[1], failed=0).directory
    victim = next(study.glob("oim-*-none-*"))
    others = {path.name for path in study.iterdir()} - {victim.name}
    pages = 0
    for number, text in enumerate(mutants(300)):
        (victim / "results.json").write_text(text, errors="surrogatepass")
        try:
            compared = compare.compare([study])
        except ValueError as refusal:
            assert "were measured by unlike protocols" in str(refusal)
            continue
        shown = {run.name for run in compared.runs} | {failure.name for failure in compared.failures}
        assert others <= shown and (victim.name in shown or compared.notes)
        means = [value.mean for row in compared.rows for value in row.metrics.values()]
        assert all(0 <= mean <= 1 for mean in means) and terminal_table(compared) and csv_table(compared)
        if victim.name not in {failure.name for failure in compared.failures} or number % 20 == 0:
            pages += 1
            render_page("fuzzed", compared, figures(compared, {})).encode()
    assert pages > 10
