"""What a study's tracker is told, on a made-up study whose runs chose metrics.jsonl as their logger."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from psearch.report.comparison import compare
from psearch.runs.labels import summary_of, title, tracker_of
from psearch.studies.pictures import HEIGHT, WIDTH, example_searches
from psearch.studies.publish import track
from psearch.studies.references import students
from psearch.tracking.jsonl import read_summary
from psearch.types import Split
from tests.report.fake_study import FakeStudy, fake_results, fake_study

PARTS: dict[str, Any] = {
    "data": {}, "teacher": {}, "student": {}, "compression": {}, "trainer": {}, "device": "cpu",
    "study": "fake",
    "evaluation": {"split": "test", "evaluator": {}},
}  # fmt: skip
"""What a run's config has besides."""

LOGGER = {"_target_": "psearch.tracking.jsonl.JsonLines", "_partial_": True}


@pytest.fixture
def study(tmp_path: Path) -> FakeStudy:
    """Two seeds alone and taught, the two-step system that stands for the teacher."""
    study = fake_study(tmp_path, failed=0)
    for path in study.directory.glob("oim-*/config.yaml"):
        config = yaml.safe_load(path.read_text()) | PARTS | {"logger": LOGGER}
        path.write_text(yaml.safe_dump(config))
    return study


def told(study: FakeStudy) -> None:
    track(compare([study.directory]), study.directory, students(study.directory))


def test_a_taught_run_is_told_its_own_gain_and_the_gap_it_closed(study: FakeStudy) -> None:
    told(study)
    mAP = {run.name: run.metrics.get("mAP", 0.0) for run in compare([study.directory]).runs}
    for seed in (1, 2):
        [alone] = [value for name, value in mAP.items() if f"none-none-seed{seed}" in name]
        [name] = [name for name in mAP if f"identities-seed{seed}" in name]
        summary = read_summary(study.directory / name)
        assert summary["gain"] == pytest.approx(mAP[name] - alone)
        assert summary["gap_closed"] == pytest.approx((mAP[name] - alone) / (0.52 - alone))
    assert all("gain" not in read_summary(run) for run in study.directory.glob("oim-*-none-none-*"))


def test_every_student_is_told_the_cost_measured_for_the_comparison(study: FakeStudy) -> None:
    [alone] = study.directory.glob("oim-*-none-none-seed1-*")
    (alone / "cost.json").write_text(json.dumps({"cost": {"parameters": 7, "latency_ms": 3.5}}))
    told(study)
    assert read_summary(alone) == {"cost/parameters": 7, "cost/latency_ms": 3.5}
    [taught] = study.directory.glob("oim-*-identities-seed1-*")
    assert {"cost/macs", "gain"} <= set(read_summary(taught))


def test_references_stand_beside_the_students(study: FakeStudy) -> None:
    told(study)
    summary = read_summary(study.directory / "two_step-reid")
    assert summary["test/mAP"] == 0.52 and summary["cost/parameters"] == 12_000_000
    assert summary["protocol/dataset"] == "synthetic" and summary["protocol/gallery_size"] == 20


def test_the_comparison_is_a_table_and_so_are_the_searches(study: FakeStudy) -> None:
    told(study)
    lines = (study.directory / ".comparison" / "metrics.jsonl").read_text().splitlines()
    comparison, queries, summary = map(json.loads, lines)
    rows = [dict(zip(comparison["columns"], row, strict=True)) for row in comparison["rows"]]
    expected = compare([study.directory])
    assert [row["variant"] for row in rows] == [row.label for row in expected.rows]
    taught = next(row for row in rows if row["gain"])
    assert taught["mAP_interval"] > 0 and 0 < taught["gap_closed"] < 1 and taught["seeds"] == "1 2"
    assert queries["columns"][:2] == ["query", "oim tiny baseline"] and len(queries["rows"]) == 40
    assert summary["summary"]["runs"] == len(expected.runs)
    assert expected.failures == ()  # the folder of the comparison is no run


def test_nothing_is_told_twice_but_news_are(study: FakeStudy) -> None:
    told(study)
    files = sorted(study.directory.rglob("metrics.jsonl"))
    before = [file.read_text() for file in files]
    told(study)
    assert [file.read_text() for file in files] == before
    path = next(study.directory.glob("oim-*-none-none-seed1-*")) / "results.json"
    results = json.loads(path.read_text())
    results["metrics"]["mAP"] += 0.01
    path.write_text(json.dumps(results))
    told(study)
    changed = {file.parent.name for file, text in zip(files, before, strict=True) if file.read_text() != text}
    assert len(changed) == 2 and ".comparison" in changed and any("identities-seed1" in n for n in changed)


def test_a_run_is_called_by_what_was_chosen() -> None:
    chosen = {"student": "oim", "compression": "tiny", "teacher": "reid", "distill": "identities", "seed": 3}
    assert title(chosen | {"overrides": []}) == "oim tiny identities from reid, seed 3"
    alone = chosen | {"teacher": "none", "distill": "none", "overrides": ["trainer.epochs=4"]}
    assert title(alone) == "oim tiny baseline, seed 3, trainer.epochs=4"
    assert title(alone | {"student": "reid", "compression": ""}).startswith("reid teacher, seed 3")


def test_the_tracker_gets_config_variant_and_words(tmp_path: Path) -> None:
    given: dict[str, Any] = {}

    def logger(**facts: Any) -> Any:
        given.update(facts)

    variant = fake_results(teacher="reid", distill="full")["variant"]
    config = {"trainer": {"epochs": 4}}
    tracker_of(logger, tmp_path, config=config, variant=variant, study="mine", job_type="student")
    assert given["config"] == {"trainer": {"epochs": 4}, "variant": variant}
    assert given["tags"] == ["oim", "tiny", "reid", "full"] and given["study"] == "mine"
    tracker_of(logger, tmp_path, config={}, variant=fake_results()["variant"], study="", job_type="")
    assert given["tags"] == ["oim", "tiny"]


def test_results_in_the_summary_say_which_split_they_are_of() -> None:
    def keys(**protocol: str) -> Mapping[str, Any]:
        return summary_of(fake_results(mAP=0.3, protocol=protocol))

    assert keys()["test/mAP"] == keys(split="val")["val/mAP"] == 0.3
    assert {"cost/macs", "cost/latency_ms", "cost/file_bytes", "training/peak_memory_mb"} <= set(keys())
    assert "cost/input" not in keys()


def test_example_searches_frame_whom_the_search_found(study: FakeStudy, tmp_path: Path) -> None:
    street, searches = study.street, next(iter(study.searches.values()))
    split = Split("test", street.scenes, street.read)
    pictures = example_searches(searches, split, tmp_path / "searches")
    assert len(pictures) == 6 and all(picture.path.exists() for picture in pictures)
    [query, first, *_] = pictures[0].frames
    assert query.label == "query" and len(pictures[0].frames) == 6
    scale = WIDTH / 400  # a scene of the street is 400 x 240
    assert query.box == pytest.approx([scale * value for value in searches[0].box])
    assert first.box[0] == pytest.approx(WIDTH + scale * searches[0].ranked[0].box[0])
    assert all(0 <= y <= 2 * HEIGHT for frame in pictures[0].frames for y in frame.box[1::2])
    assert {frame.label for picture in pictures for frame in picture.frames} == {"query", "right", "wrong"}
