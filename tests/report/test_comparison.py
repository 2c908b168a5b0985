"""The arithmetic of the comparison on records made by hand."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

from psearch.identity import deciding, flattened
from psearch.records import read_config
from psearch.report.comparison import Comparison, compare
from psearch.report.row import Estimate, Row
from tests.report.fake_study import fake_results, fake_study, write_failed, write_run


def student(study: Path, distill: str, seed: int, mAP: float, **more: object) -> Path:
    """A student's run directory; taught ones name the teacher in `study/../teachers/t-1`."""
    taught = {"teacher": "t", "teacher_directory": "outputs/teachers/t-1"} if distill != "none" else {}
    results = fake_results(mAP=mAP, seed=seed, distill=distill, **{**taught, **more})  # type: ignore[arg-type]
    return write_run(study / f"oim-{distill}-{seed}-{len(more)}", results)


def teacher(study: Path, mAP: float | None, **more: object) -> None:
    results = fake_results(mAP=mAP, role="teacher", student="t", compression="r50", **more)  # type: ignore[arg-type]
    write_run(study.parent / "teachers" / "t-1", results)


def row(comparison: Comparison, label: str) -> Row:
    return next(row for row in comparison.rows if row.label.startswith(label))


@pytest.fixture
def study(tmp_path: Path) -> Path:
    return tmp_path / "outputs" / "s"


def test_interval_is_student_t_over_seeds() -> None:
    estimate = Estimate((0.10, 0.12, 0.17))
    assert estimate.mean == pytest.approx(0.13)
    assert estimate.interval == pytest.approx(4.302653 * 0.0360555 / 3**0.5, rel=1e-5)
    assert Estimate((0.1,)).interval is None and Estimate((0.1,)).spread is None


def test_gap_closed_against_a_search_teacher_is_paired_on_seeds(study: Path) -> None:
    for seed, alone, taught in [(1, 0.10, 0.16), (2, 0.12, 0.16)]:
        student(study, "none", seed, alone)
        student(study, "identities", seed, taught)
    student(study, "identities", 3, 0.40)  # no partner of this seed: no part in the gain
    teacher(study, 0.20)
    comparison = compare([study])
    taught_row = row(comparison, "oim tiny identities")
    gain = comparison.gains[taught_row]
    assert taught_row.metrics["mAP"].mean == pytest.approx((0.16 + 0.16 + 0.40) / 3)
    assert gain.seeds == (1, 2)
    assert gain.gain is not None and gain.gain.values == pytest.approx((0.06, 0.04))
    assert gain.closed is not None and gain.closed.values == pytest.approx((0.06 / 0.10, 0.04 / 0.08))
    assert gain.reference_text == "teacher t r50: mAP 20.0 %, on GT boxes 30.0 %"


def test_a_reid_teacher_is_stood_for_by_the_best_two_step_system(study: Path) -> None:
    student(study, "none", 1, 0.10)
    student(study, "identities", 1, 0.20)
    teacher(study, None, metrics={"gt_mAP": 0.6})
    comparison = compare([study])
    gain = comparison.gains[row(comparison, "oim tiny identities")]
    assert gain.closed is None and "no two-step result" in gain.reason

    recorded = {"role": "two_step", "teacher": "t", "teacher_directory": "elsewhere/teachers/t-1"}
    for detector, mAP in [("tiny", 0.25), ("r18", 0.30)]:
        results = fake_results(mAP=mAP, compression=detector, metrics={"gt_mAP": 0.6}, **recorded)  # type: ignore[arg-type]
        write_run(study / f"two_step-{detector}", results)
    comparison = compare([study])
    gain = comparison.gains[row(comparison, "oim tiny identities")]
    assert gain.closed is not None and gain.closed.mean == pytest.approx(0.5)
    assert gain.reference_text == "two-step oim r18 + t: two-step mAP 30.0 %, on GT boxes 60.0 %"


@pytest.mark.parametrize("level", [0.10, 0.09])
def test_gap_is_not_defined_if_the_teacher_is_not_above_the_student_alone(study: Path, level: float) -> None:
    student(study, "none", 1, 0.10)
    student(study, "identities", 1, 0.20)
    teacher(study, level)
    comparison = compare([study])
    gain = comparison.gains[row(comparison, "oim tiny identities")]
    assert gain.closed is None and "not above the baseline (seed 1)" in gain.reason
    assert gain.gain is not None and gain.gain.mean == pytest.approx(0.1)


def test_a_teacher_nobody_learns_from_does_not_matter(study: Path) -> None:
    """A sweep `teacher=t distill=none,identities` names the teacher in the runs of the student alone too."""
    student(study, "none", 1, 0.1, teacher="t", overrides=["teacher=t"])
    student(study, "identities", 1, 0.2, overrides=["teacher=t"])
    comparison = compare([study])
    assert [row.label for row in comparison.rows] == ["oim tiny baseline", "oim tiny identities from t"]
    assert comparison.gains[comparison.rows[1]].baseline is comparison.rows[0]


def test_settings_split_rows_and_only_equal_settings_are_paired(study: Path) -> None:
    for distill in ("none", "identities"):
        for epochs in (4, 8):
            name = {"overrides": [f"trainer.epochs={epochs}", "seed=1", f"distill={distill}"]}
            results = student(study, distill, 1, 0.1 * epochs, **name)
            results.rename(f"{results}-{epochs}")
    student(study, "features", 1, 0.5, overrides=["trainer.epochs=16"])
    comparison = compare([study])
    labels = [row.label for row in comparison.students]
    assert "oim tiny identities from t · trainer.epochs=8" in labels and len(labels) == 5
    pairs = {taught.label: gain.baseline and gain.baseline.label for taught, gain in comparison.gains.items()}
    assert pairs["oim tiny identities from t · trainer.epochs=8"] == "oim tiny baseline · trainer.epochs=8"
    assert pairs["oim tiny features from t"] is None


def test_the_resolved_config_decides_what_is_one_row(study: Path) -> None:
    for seed, rate in [(1, 0.1), (2, 0.1), (3, 0.2)]:
        directory = student(study, "none", seed, 0.1)
        config = {"seed": seed, "study": f"s{seed}", "trainer": {"rate": rate}, "logger": {"mode": seed}}
        write_run(directory, None, config=config)
    seeds = {row.label: row.seeds for row in compare([study]).rows}
    assert seeds == {
        "oim tiny baseline · trainer.rate=0.1": (1, 2),
        "oim tiny baseline · trainer.rate=0.2": (3,),
    }


def test_the_same_seed_twice_counts_once_and_is_told(study: Path) -> None:
    older = student(study, "none", 1, 0.1)
    newer = write_run(study / "again", fake_results(mAP=0.3, seed=1))
    os.utime(older / "results.json", (1, 1))
    comparison = compare([study])
    assert [run.name for run in comparison.runs] == [newer.name]
    assert older.name in comparison.notes[0] and "left out" in comparison.notes[0]


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("fingerprint", "other"),
        ("gallery_size", 50),
        ("mode", "legacy"),
        ("score", 0.1),
        ("split", "val"),
        ("rerank", "CBGM"),
        ("low", 0.01),
        ("limit", 100),
    ],
)
def test_unlike_protocols_are_refused_by_name(study: Path, key: str, value: object) -> None:
    student(study, "none", 1, 0.1)
    student(study, "identities", 1, 0.2, protocol={key: value})
    with pytest.raises(ValueError, match=f"{key}: .*{value}") as caught:
        compare([study])
    assert "'oim tiny baseline'" in str(caught.value) and "'oim tiny identities from t'" in str(caught.value)


def test_detector_thresholds_do_not_bind_a_teacher_that_detects_nothing(study: Path) -> None:
    student(study, "identities", 1, 0.2)
    teacher(study, None, protocol={"score": None, "nms": None, "limit": 9})
    assert len(compare([study]).rows) == 2
    teacher(study, None, protocol={"fingerprint": "other"})
    with pytest.raises(ValueError, match="fingerprint"):
        compare([study])


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "not usable"),
        ('{"status": "ok", "role"', "not usable"),
        ("[1, 2]", "not usable"),
        ('{"status": "failed"}', "status is 'failed'"),
        (json.dumps({**fake_results(), "role": "pupil"}), "role is 'pupil'"),
        (json.dumps({**fake_results(), "metrics": {"mAP": float("nan")}}), "metrics.mAP is nan"),
        (json.dumps({**fake_results(), "cost": {"macs": "many"}}), "cost.macs is 'many'"),
        (json.dumps({**fake_results(), "per_query": {"AP": [0.1, "x"]}}), "per_query.AP is 'x'"),
        (json.dumps({**fake_results(), "code": ["8b5e3cb"]}), "not usable"),
        (json.dumps({**fake_results(), "variant": {"student": "oim"}}), "compression"),
    ],
)
def test_a_broken_record_is_a_failure_with_a_reason(study: Path, text: str, reason: str) -> None:
    student(study, "none", 1, 0.1)
    write_run(study / "broken", None)
    (study / "broken" / "results.json").write_text(text)
    comparison = compare([study])
    assert len(comparison.rows) == 1
    assert [failure.name for failure in comparison.failures] == ["broken"]
    assert reason in comparison.failures[0].error


def test_failed_and_unfinished_runs_are_listed_with_error_and_log(study: Path) -> None:
    write_failed(study / "a", "RuntimeError: out of paper")
    (write_run(study / "b", None) / "metrics.jsonl").write_text("")
    (write_run(study / "c", None) / "FAILED").write_text('{"error": "cut o')
    (study / "no run").mkdir()
    failures = {failure.name: failure for failure in compare([study]).failures}
    assert (
        failures["a"].error == "RuntimeError: out of paper" and failures["a"].log == study / "a" / "log.txt"
    )
    assert "Traceback" in failures["a"].details
    assert "still running, or stopped" in failures["b"].error
    assert failures["c"].error == '{"error": "cut o'
    assert len(failures) == 3


def test_teachers_are_found_after_the_outputs_were_moved(tmp_path: Path) -> None:
    made = fake_study(tmp_path / "here", seeds=[1], failed=0)
    shutil.move(tmp_path / "here", tmp_path / "there")
    comparison = compare([tmp_path / "there" / made.directory.relative_to(tmp_path / "here")])
    assert [row.role for row in comparison.rows] == ["student", "student", "teacher", "two_step"]
    assert all(gain.closed for gain in comparison.gains.values())


def test_single_runs_and_several_studies_can_be_compared(tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    student(one, "none", 1, 0.1)
    run = student(other, "none", 2, 0.2)
    assert compare([one, other]).rows[0].seeds == (1, 2)
    assert compare([run]).rows[0].seeds == (2,)
    with pytest.raises(ValueError, match="name a study"):
        compare([tmp_path / "nothing"])


def test_mixed_or_dirty_code_is_noted(study: Path) -> None:
    for seed, commit in [(1, "a" * 40), (2, "b" * 40)]:
        code = {"code": {"commit": commit, "dirty": seed == 2}}
        write_run(study / str(seed), {**fake_results(seed=seed), **code})
    notes = compare([study]).notes
    assert any("2 commits (aaaaaaaaaaaa, bbbbbbbbbbbb)" in note for note in notes)
    assert any(note.startswith("1 of 2 runs") for note in notes)


HOW = [("trainer", "workers"), ("trainer", "log_every_s"), ("trainer", "validate_every")]


@pytest.mark.parametrize("key", HOW)
def test_how_a_run_works_neither_hides_a_gain_nor_splits_seeds(study: Path, key: tuple[str, str]) -> None:
    """What decides a result is what `psearch.identity` says; the report has no list of its own."""
    for seed, value in [(1, 0), (2, 1)]:
        for distill in ("none", "identities"):
            config = {"seed": seed, "trainer": {"epochs": 4, key[1]: value + (distill == "none")}}
            write_run(student(study, distill, seed, 0.1 + 0.1 * (distill != "none")), None, config=config)
    comparison = compare([study])
    assert [(row.label, row.seeds) for row in comparison.students] == [
        ("oim tiny baseline", (1, 2)),
        ("oim tiny identities from t", (1, 2)),
    ]
    [gain] = comparison.gains.values()
    assert gain.gain is not None and gain.gain.values == pytest.approx((0.1, 0.1))
    for place in study.iterdir():
        config = read_config(place / "config.yaml")
        kept = {name for name in flattened(deciding(config)) if not name.endswith("seed")}
        assert {name for run in comparison.runs for name in run.settings} == kept == {"trainer.epochs"}


def test_rows_made_with_other_code_or_of_other_data_are_marked(study: Path) -> None:
    def made(seed: int, distill: str, files: dict[str, str], train: str, closure: str) -> None:
        code = {"commit": "a" * 40, "dirty": False, "closure": closure, "files": files}
        results = fake_results(seed=seed, distill=distill, teacher="t")
        write_run(study / f"{distill}-{seed}", {**results, "code": code, "data": {"train": train}})

    loop = {"engine/loop.py": "1"}
    made(1, "none", loop, "a", "x")
    made(2, "none", loop, "a", "x")
    made(1, "identities", {**loop, "distill/identities.py": "5"}, "a", "y")
    made(2, "identities", {**loop, "distill/identities.py": "5"}, "a", "y")
    assert compare([study]).notes == ()  # that a term is code of its own makes no difference to tell
    made(2, "none", {"engine/loop.py": "2"}, "b", "z")
    assert compare([study]).notes == (
        "oim tiny baseline: made with other code than the others (engine/loop.py)",
        "oim tiny baseline: trained on other data than the others (train)",
        "oim tiny baseline: not all seeds were made with the same code",
    )


def test_a_row_with_fewer_seeds_is_marked(study: Path) -> None:
    for seed in (1, 2, 3):
        student(study, "none", seed, 0.1)
    student(study, "identities", 1, 0.2)
    assert "oim tiny identities from t: 1 seed where others have 3" in compare([study]).notes
    student(study, "identities", 2, 0.2)
    assert "oim tiny identities from t: 2 seeds where others have 3" in compare([study]).notes


def test_a_teacher_that_was_trained_and_not_measured_is_no_failure(study: Path) -> None:
    student(study, "none", 1, 0.1)
    student(study, "identities", 1, 0.2)
    write_run(study.parent / "teachers" / "t-1", {"status": "ok", "training": {"epochs": 1}})
    comparison = compare([study])
    assert comparison.failures == () and "result is missing" in next(iter(comparison.gains.values())).reason
