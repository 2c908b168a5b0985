"""What is read of a run has the types and ranges it promises, whatever happened to the file."""

from __future__ import annotations

import json
import logging
import math
import random
import re
from pathlib import Path
from typing import Any

import pytest

from psearch.identity import flattened
from psearch.records import MeasuredCost, RunRecord, TeacherEntry, Variant, locate, read_config
from tests.report.fake_study import fake_results

RESULTS = fake_results(
    mAP=0.25, teacher="reid", distill="identities", teacher_directory="outputs/teachers/reid-1",
    per_query=[0.5, 0.0], overrides=["trainer.epochs=4"],
)  # fmt: skip


def written(directory: Path, text: str) -> Path:
    (directory / "results.json").write_text(text, encoding="utf-8", errors="surrogatepass")
    return directory


def test_a_record_is_what_was_measured(tmp_path: Path) -> None:
    record = RunRecord.load(written(tmp_path, json.dumps(RESULTS)))
    assert record.variant == Variant("oim", "tiny", "reid", "identities", 1, ("trainer.epochs=4",))
    assert record.teachers == (TeacherEntry("reid", "outputs/teachers/reid-1", "abc"),)
    assert record.metrics["mAP"] == 0.25 and record.per_query["AP"] == (0.5, 0.0)
    assert record.closure == "" and record.starts == record.data == {}


def test_what_is_written_is_read_again_unknown_keys_included(tmp_path: Path) -> None:
    news = {"energy": {"joule": 12.5}, "starts": {"student.start": "0a1b"}, "data": {"train": "2c3d"}}
    entry = {**RESULTS["teachers"][0], "born": "yesterday"}
    code = {"commit": "c" * 40, "dirty": False, "closure": "4e5f"}
    record = RunRecord.parse({**RESULTS, **news, "code": code, "teachers": [entry]})
    record.write(tmp_path)
    assert RunRecord.read(tmp_path) == record
    assert (record.closure, record.starts, record.data) == ("4e5f", news["starts"], news["data"])
    content = json.loads((tmp_path / "results.json").read_text())
    assert content["energy"] == news["energy"] and content["teachers"] == [entry]
    assert {key: content[key] for key in RESULTS if key not in ("code", "teachers", "variant")} == {
        key: RESULTS[key] for key in RESULTS if key not in ("code", "teachers", "variant")
    }


def test_a_training_that_nobody_measured_is_a_record_too() -> None:
    training = {"status": "ok", "training": {"epochs": 2, "steps": 9, "seconds": 1.5}}
    record = RunRecord.parse(training)
    assert record.role is None and record.variant is None and record.to_json() == training


def test_missing_or_unusable_counts_as_none_and_is_warned_of_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert RunRecord.read(tmp_path) is None and not caplog.records
    written(tmp_path, '{"status": "o')
    assert RunRecord.read(tmp_path) is None and RunRecord.read(tmp_path) is None
    [warning] = caplog.records
    assert warning.levelno == logging.WARNING
    assert str(tmp_path / "results.json") in warning.getMessage() and "not usable" in warning.getMessage()
    (tmp_path / "results.json").unlink()
    (tmp_path / "results.json").mkdir()
    assert RunRecord.read(tmp_path) is None


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"metrics": {"mAP": float("nan")}}, "metrics.mAP is nan"),
        ({"metrics": {"mAP": 31.1}}, "metrics.mAP is 31.1"),
        ({"metrics": {"mAP": True}}, "metrics.mAP is True"),
        ({"metrics": {"mAP": 10**400}}, "metrics.mAP is 1000"),
        ({"metrics": [0.1]}, "metrics is .*not a mapping"),
        ({"per_query": {"AP": [0.1, -0.1]}}, "per_query.AP is -0.1"),
        ({"per_query": {"AP": 0.1}}, "per_query.AP is 0.1, not a list"),
        ({"intervals": {"mAP": [0.1]}}, "intervals.mAP is .*not a list of 2"),
        ({"cost": {"macs": -1}}, "cost.macs is -1"),
        ({"cost": {"note": {"deep": [[[[[[[[[1]]]]]]]]]}}}, "nested too deeply"),
        ({"protocol": {"gallery_size": "20"}}, "protocol.gallery_size is '20'"),
        ({"protocol": {"score": float("inf")}}, "protocol.score is inf"),
        ({"training": {"seconds": float("inf")}}, "training.seconds is inf"),
        ({"variant": {"seed": "1"}}, "variant.student is None"),
        ({"variant": {**RESULTS["variant"], "seed": 1.0}}, "variant.seed is 1.0"),
        ({"variant": {**RESULTS["variant"], "overrides": "a=1"}}, "variant.overrides is 'a=1', not a list"),
        ({"teachers": [{"name": 1}]}, "teachers.name is 1"),
        ({"teachers": [{"directory": "a\0b"}]}, "teachers.directory is"),
        ({"code": {"commit": 8}}, "code.commit is 8"),
        ({"made_from": "reid"}, "made_from is 'reid', not a mapping"),
        ({"news": "half \ud800 a pair"}, "news is"),
        ({"status": "failed"}, "status is 'failed'"),
        ({"role": "pupil"}, "role is 'pupil', expected one of student"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, change: dict[str, Any], reason: str) -> None:
    text = json.dumps({**RESULTS, **change})
    with pytest.raises(ValueError, match=rf"results.json is not usable \(.*{reason}"):
        RunRecord.load(written(tmp_path, text))
    with pytest.raises(ValueError, match=reason):
        RunRecord.parse({**RESULTS, **change}).write(tmp_path)


def mutants(count: int) -> list[str]:
    """The record after accidents: bytes lost, doubled and flipped, values and keys of another kind."""
    draw = random.Random(0)
    text = json.dumps(RESULTS)
    values = re.findall(r'"[^"]*"|-?\d[\d.]*|true|false|null|\{\}|\[\]', text)
    strange = ["NaN", "-Infinity", "1e999", "9" * 400, "-1", "[]", "{}", "null", '"\\ud800"', "true", '""']
    strange += ["[" * 5000, '{"a":' * 3000, '"\\u0000"', "1e-320", "[null]", '{"": null}']
    made = []
    for number in range(count):
        start, end = sorted(draw.choices(range(len(text)), k=2))
        kind = number % 5
        if kind == 0:
            made.append(text[:start])
        elif kind == 1:
            made.append(text[:start] + text[min(end, start + 9) :])
        elif kind == 2:
            made.append(text[:end] + text[start:])
        elif kind == 3:
            made.append(text[:start] + chr(draw.randrange(1, 300)) + text[start + 1 :])
        else:
            made.append(text.replace(draw.choice(values), draw.choice(strange), draw.choice((1, 1, -1))))
    return [*made, *strange, "", "\ufeff" + text, "\0"]


@pytest.mark.parametrize("part", range(4))
def test_no_accident_to_the_file_crashes_a_reader_or_gives_a_number_that_cannot_be(
    tmp_path: Path, part: int
) -> None:
    usable = 0
    for text in mutants(800)[part::4]:
        record = RunRecord.read(written(tmp_path, text))
        if record is None:
            continue
        usable += 1
        numbers = [*record.metrics.values(), *(v for per in record.per_query.values() for v in per if v)]
        assert all(type(value) is float and 0 <= value <= 1 for value in numbers)
        costs = [value for value in record.cost.values() if isinstance(value, float)]
        assert all(math.isfinite(value) for value in costs)
        assert record.role in (None, "student", "teacher", "two_step")
        assert record.variant is None or (*map(type, record.variant.axes),) == (str,) * 4
        assert RunRecord.parse(json.loads(json.dumps(record.to_json(), allow_nan=False))) == record
    assert usable > 5


def test_a_cost_is_checked_as_well(tmp_path: Path) -> None:
    assert MeasuredCost.read(tmp_path) is None
    MeasuredCost({"macs": 7}, "here").write(tmp_path)
    assert MeasuredCost.read(tmp_path) == MeasuredCost({"macs": 7}, "here")
    for text in ("{", "[]", '{"cost": {"macs": NaN}}', '{"cost": 3}', '{"cost": {}, "measured": 3}'):
        (tmp_path / "cost.json").write_text(text)
        assert MeasuredCost.read(tmp_path) is None


@pytest.mark.parametrize(
    "text", ["a: [", "- 1", "", "\0", "a: &b {c: *b}", "1: 2", "[" * 5000, "a: !!python/name:os.system"]
)
def test_a_config_is_a_plain_mapping_or_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "config.yaml").write_text(text)
    with pytest.raises(ValueError):
        read_config(tmp_path / "config.yaml")
    with pytest.raises(FileNotFoundError):
        read_config(tmp_path / "other.yaml")


def test_a_config_as_dotted_keys() -> None:
    config = {"a": {"b": 1, "c": {}}, "d": [1, "x"], "e": "text", "f": None}
    assert flattened(config) == {"a.b": "1", "d": '[1, "x"]', "e": "text", "f": "null"}


def test_a_teacher_is_found_beside_its_study_wherever_outputs_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    teacher = tmp_path / "moved" / "teachers" / "reid-1"
    teacher.mkdir(parents=True)
    run = tmp_path / "moved" / "mine" / "run"
    assert locate(run, "outputs/teachers/reid-1") == teacher
    assert locate(run, "outputs/teachers/reid-2") is None and locate(run, "") is None
    monkeypatch.chdir(tmp_path)
    assert locate(tmp_path / "a" / "b" / "c", "moved/teachers/reid-1") == Path("moved/teachers/reid-1")
