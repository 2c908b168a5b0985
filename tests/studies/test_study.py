"""Teacher, student, evaluation and comparison, chained as a study does it."""

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from psearch.evaluation.result import RANKING, read_ranking
from psearch.identity import job_name
from psearch.runs import checkpoint
from psearch.studies.compare import compare_studies
from psearch.studies.ingredients import data_of
from psearch.studies.teachers import needed, ready
from psearch.studies.train import run
from tests.study import composed, teachers

TAUGHT = (*teachers("reid"), "distill=identities")


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """A student alone and one taught, and the folder they lie in."""
    home = tmp_path_factory.mktemp("study")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(home)
        threads = torch.get_num_threads()
        for overrides in ((), TAUGHT):
            run(*composed("study=small", *overrides))
        torch.set_num_threads(threads)
    return home


@pytest.fixture
def inside(study, monkeypatch):
    monkeypatch.chdir(study)
    return study


def jobs(home: Path) -> dict[str, Path]:
    found = {}
    for path in (home / "outputs" / "small").glob("*/results.json"):
        results = json.loads(path.read_text())
        found[results["variant"]["distill"] if results["role"] == "student" else results["role"]] = (
            path.parent
        )
    return found


def test_results_say_what_was_measured_and_by_which_protocol(inside):
    alone, taught = (
        json.loads((jobs(inside)[k] / "results.json").read_text()) for k in ("none", "identities")
    )
    for results in (alone, taught):
        assert results["status"] == "ok"
        assert {"mAP", "top1", "detection_AP", "detection_recall", "gt_mAP"} <= set(results["metrics"])
        assert results["protocol"]["split"] == "test" and results["protocol"]["queries"] > 0
        assert results["cost"]["parameters"] > 0 and results["cost"]["macs"] > 0
        assert results["code"] and results["machine"]["torch"] == torch.__version__
    assert alone["protocol"]["fingerprint"] == taught["protocol"]["fingerprint"]
    assert alone["teachers"] == [] and taught["teachers"][0]["name"] == "reid"


def test_a_taught_student_has_the_keys_and_the_cost_of_one_that_was_not(inside):
    states = [checkpoint.load(jobs(inside)[k] / "last.pt") for k in ("none", "identities")]
    shapes = [{key: value.shape for key, value in state["network"].items()} for state in states]
    assert shapes[0] == shapes[1]
    costs = [
        json.loads((jobs(inside)[k] / "results.json").read_text())["cost"] for k in ("none", "identities")
    ]
    assert costs[0]["parameters"] == costs[1]["parameters"] and costs[0]["macs"] == costs[1]["macs"]


def test_the_students_table_is_the_teachers_to_the_last_bit(inside):
    taught = checkpoint.load(jobs(inside)["identities"] / "last.pt")
    alone = checkpoint.load(jobs(inside)["none"] / "last.pt")
    table = taught["criterion"]["memory.table"]
    torch.testing.assert_close(table.norm(dim=1), torch.ones(len(table)))
    assert not torch.equal(table, alone["criterion"]["memory.table"])


def test_the_answers_kept_are_those_that_were_counted(inside):
    for place in jobs(inside).values():
        results = json.loads((place / "results.json").read_text())
        if results["role"] != "student":
            continue
        correct = read_ranking(place / RANKING, scenes=10**6, queries=results["protocol"]["queries"]).correct
        counted = [ap is not None for ap in results["per_query"]["AP"]]
        assert correct[counted, 0].mean() == pytest.approx(results["metrics"]["top1"])


def test_the_same_command_again_does_nothing(inside):
    before = {p: p.stat().st_mtime_ns for p in inside.rglob("*.pt")}
    run(*composed("study=small", *TAUGHT))
    assert {p: p.stat().st_mtime_ns for p in inside.rglob("*.pt")} == before


def test_a_second_seed_reuses_the_teacher_untouched(inside):
    teacher = next((inside / "outputs" / "teachers").glob("*/last.pt"))
    digest = hashlib.sha256(teacher.read_bytes()).hexdigest()
    run(*composed("study=second", "seed=2", *TAUGHT))
    assert hashlib.sha256(teacher.read_bytes()).hexdigest() == digest
    assert len(list((inside / "outputs" / "teachers").glob("*/last.pt"))) == 1


def test_the_comparison_holds_students_teacher_and_two_step(inside):
    text = compare_studies([Path("outputs/small")], device="cpu")
    assert {"none", "identities", "teacher", "two_step"} <= set(jobs(inside))
    for words in ("oim tiny baseline", "identities from reid", "teacher reid", "two-step", "report.html"):
        assert words in text
    page = (inside / "outputs" / "small" / "report.html").read_text()
    assert "data:image/jpeg" in page


def test_a_search_teacher_is_its_own_reference(inside):
    small = (*teachers("oim"), "distill=identities")
    run(*composed("study=searching", *small))
    run(*composed("study=searching"))
    text = compare_studies([Path("outputs/searching")], device="cpu")
    assert "teacher oim" in text and "two-step" not in text


def test_two_teachers_each_give_what_they_know(inside):
    """A detector and a re-ID network: rows of their own, agreement on held-out scenes in the metrics."""
    both = (*teachers("detector", "reid"), "distill=[detector,embeddings]", "trainer.validate_every=2")
    run(*composed("study=pair", *both))
    run(*composed("study=pair"))
    [job] = (inside / "outputs" / "pair").glob("oim-tiny-detector+reid-detector+embeddings-*")
    results = json.loads((job / "results.json").read_text())
    assert [known["name"] for known in results["teachers"]] == ["detector", "reid"]
    rows = [json.loads(line) for line in (job / "metrics.jsonl").read_text().splitlines()]
    validated = next(row for row in rows if "val/mAP" in row)
    for name in ("features", "objectness", "regions", "embeddings"):
        assert validated[f"val/distill/{name}"] > 0
    text = compare_studies([Path("outputs/pair")], device="cpu")
    assert "detector+embeddings from detector+reid" in text and "two-step oim tiny + reid" in text
    [row] = (inside / "outputs" / "pair").glob("detector-*/results.json")
    metrics = json.loads(row.read_text())["metrics"]
    assert "detection_AP" in metrics and "mAP" not in metrics and "gt_mAP" not in metrics


def test_a_checkpoint_can_be_the_teacher(inside):
    last = next((inside / "outputs" / "teachers").glob("reid-*/last.pt"))
    run(*composed("study=given", *TAUGHT, f"teacher.reid.checkpoint={last}"))
    assert not (inside / "outputs" / "given" / "FAILED").exists()


@pytest.mark.parametrize(
    "overrides, words",
    [
        (("distill=identities",), "needs a teacher"),
        ((*TAUGHT, "teacher.reid.checkpoint=nowhere.pt"), "there is no checkpoint nowhere.pt"),
        (("compression=crops",), "it is for crops"),
        (("student=reid", "compression=crops", *TAUGHT), "choose distill=none"),
        (("device=cuda",), "no GPU"),
        (("evaluation.split=train",), "evaluation.split"),
        ((*TAUGHT, "student.network.embedding=32"), "embedding"),
    ],
)
def test_mistakes_get_one_sentence_that_says_what_to_do(inside, overrides, words):
    if words == "no GPU" and torch.cuda.is_available():
        pytest.skip("there is a GPU here")
    with pytest.raises(ValueError, match=words):
        run(*composed("study=wrong", *overrides))


def test_a_study_that_does_not_exist_names_those_that_do(inside):
    with pytest.raises(ValueError, match="there are .*small"):
        compare_studies([Path("outputs/smal")])


def test_other_searches_of_the_same_training_scenes_share_the_teacher(inside):
    teachers = sorted((inside / "outputs" / "teachers").glob("reid-*"))
    (config, _), (other, words) = composed(*TAUGHT), composed("data.gallery_size=5", *TAUGHT)
    wanted = needed(other, data_of(other))
    assert needed(config, data_of(config)) == wanted
    assert all(ready(name, inside / "outputs" / "teachers") for name in wanted)
    run(replace(other, study="elsewhere"), words)
    assert sorted((inside / "outputs" / "teachers").glob("reid-*")) == teachers
    assert len(list(teachers[0].glob("people-*"))) == 1
    elsewhere, _ = composed("data.train_scenes=13", *TAUGHT)
    assert needed(elsewhere, data_of(elsewhere)) != wanted


def test_what_is_kept_where_is_no_other_run_but_pixels_through_jpegs_are(inside):
    overrides = ((), ("data.workers=2",), ("student.loading.cache=a",), ("student.loading.cache=b",))
    names = [job_name(words, config.plain) for config, words in (composed(*o) for o in overrides)]
    assert names[0] == names[1] != names[2] == names[3]


def test_resized_pictures_are_kept_per_training_data(inside):
    run(*composed("study=kept", "student.loading.cache=kept", "student.loading.multi_scale=[0.5]"))
    (folder,) = (inside / "kept").iterdir()
    assert folder.name.startswith("resized-") and len(list(folder.rglob("*.jpg"))) == 12


def test_runs_of_one_architecture_share_one_measured_cost(inside):
    compare_studies([Path("outputs/small")], device="cpu")
    costs = [json.loads((jobs(inside)[k] / "cost.json").read_text()) for k in ("none", "identities")]
    assert costs[0] == costs[1] and costs[0]["cost"]["latency_ms"] > 0


def test_teacher_checkpoint_is_short_for_that_of_the_only_teacher(tmp_path):
    mine = tmp_path / "mine.pt"
    torch.save({"network": {}}, mine)
    config, _ = composed("teacher=reid", "distill=identities", f"teacher.checkpoint={mine}")
    assert config.teachers["reid"].checkpoint == mine and set(config.teachers) == {"reid"}
    with pytest.raises(ValueError, match="teacher.detector.checkpoint or teacher.reid.checkpoint"):
        composed("teacher=[detector,reid]", "distill=identities", f"teacher.checkpoint={mine}")


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (("teacher=detector", "distill=full"), "identities needs embeddings from the teacher, but detector"),
        (("teacher=reid", "distill=features"), "features needs features from the teacher, but reid gives"),
        (("teacher=reid", "distill=identities", "distill.identities.weight=-1"), "identities: weight=-1"),
        (("teacher=oim", "distill=features", "distill.features.taps=[c9]"), "the student has no tap 'c9'"),
        (("teacher=reid", "distill=embeddings", "student.network.embedding=64"), "64 numbers, .* 256"),
        (
            ("teacher=oim", "distill=identities", "teacher.oim.student.network.embedding=64"),
            r"table is \(6, 64\), the student's is \(6, 256\)",
        ),
        (
            ("teacher=oim", "distill=objectness", "teacher.oim.student.anchors.aspects=[1.0]"),
            "the student's anchors are .*, the teacher's are .*aspects 1;",
        ),
        (("student=reid", "compression=crops", "teacher=oim", "distill=identities"), "choose distill=none"),
    ],
)
def test_what_does_not_go_together_is_found_out_before_a_teacher_is_trained(inside, overrides, words):
    before = set(Path("outputs/teachers").iterdir())
    with pytest.raises(ValueError, match=words):
        run(*composed("study=mispaired", *overrides))
    assert set(Path("outputs/teachers").iterdir()) == before and not Path("outputs/mispaired").exists()
