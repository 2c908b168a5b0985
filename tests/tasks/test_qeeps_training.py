"""QEEPS as a student, as a teacher, without its parts, and from a trained OIM network."""

import json
import shutil
from pathlib import Path

import pytest
import torch

from psearch.identity import job_name
from psearch.runs import checkpoint
from psearch.studies.compare import compare_studies
from psearch.studies.recipe import new_task
from psearch.studies.train import run
from tests import toys
from tests.study import composed, teachers

PARTS = ("qsse", "qrpn", "qsim")
OFF = tuple(f"student.{part}=false" for part in PARTS)


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A place with a trained OIM student, and one that was told to be QEEPS without any part."""
    place = tmp_path_factory.mktemp("qeeps")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        threads = torch.get_num_threads()
        run(*composed("directory=oim"))
        run(*composed("student=qeeps", *OFF, "directory=bare"))
        torch.set_num_threads(threads)
    return place


@pytest.fixture
def inside(home, monkeypatch):
    monkeypatch.chdir(home)
    threads = torch.get_num_threads()
    yield home
    torch.set_num_threads(threads)


def results(directory):
    return json.loads((Path(directory) / "results.json").read_text())


def benchmark(config):
    from psearch.build import build

    return build(config.data)


def test_without_its_parts_its_whole_training_is_that_of_oim(inside):
    oim, bare = (checkpoint.load(Path("outputs", name, "last.pt")) for name in ("oim", "bare"))
    assert list(oim["network"]) == list(bare["network"])
    assert all(torch.equal(value, bare["network"][key]) for key, value in oim["network"].items())
    assert all(torch.equal(value, bare["criterion"][key]) for key, value in oim["criterion"].items())
    assert results("outputs/oim")["metrics"] == results("outputs/bare")["metrics"]
    assert results("outputs/oim")["protocol"] == results("outputs/bare")["protocol"]


def test_it_starts_from_a_trained_oim_network(inside):
    config, _ = composed("student=qeeps", "student.start=outputs/oim/last.pt")
    task, _ = new_task(config, benchmark(config))
    given, own = checkpoint.load("outputs/oim/last.pt")["network"], task.network.state_dict()
    assert all(torch.equal(own[key], value) for key, value in given.items())
    assert {key.split(".")[0] for key in set(own) - set(given)} == set(PARTS)


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (["student.network.embedding=32"], "2 of another shape .regions.embedding.weight"),
        (["compression=small"], "does not fit"),
    ],
)
def test_a_start_that_does_not_fit_says_where(inside, overrides, words):
    config, _ = composed("student=qeeps", "student.start=outputs/oim/last.pt", *overrides)
    with pytest.raises(ValueError, match=words):
        new_task(config, benchmark(config))


def test_a_start_that_is_not_there_is_named():
    with pytest.raises(ValueError, match=r"student.start=nowhere.pt: there is no such file"):
        composed("student=qeeps", "student.start=nowhere.pt")


def test_what_a_start_holds_decides_the_run_and_not_where_it_lies(inside):
    shutil.copyfile("outputs/oim/last.pt", "copy.pt")

    def name(file):
        config, variant = composed("student=qeeps", f"student.start={file}")
        return job_name(variant, config.plain)

    same = name("outputs/oim/last.pt")
    assert name("copy.pt") == same
    torch.save({"network": {"weight": torch.zeros(1)}}, "copy.pt")
    assert name("copy.pt") != same != name("null")


@pytest.mark.parametrize("distill", ["detector", "identities"])
def test_it_is_taught_like_any_student(inside, distill):
    names = {"detector": "detector", "identities": "reid"}
    short = teachers(names[distill]) if distill == "identities" else ("teacher=detector",)
    size = ("teacher.detector.trainer.epochs=1",) if distill == "detector" else ()
    task = ("student=qeeps", "trainer.epochs=1", f"distill={distill}", f"directory=by_{distill}")
    run(*composed(*task, *short, *size))
    said = results(f"outputs/by_{distill}")
    assert said["protocol"]["similarity"] == "query-conditioned (qsse, qrpn, qsim)"
    assert said["teachers"][0]["name"] == names[distill]


def test_its_identity_table_teaches_an_oim_student_and_the_study_compares_both(inside, caplog):
    """The paper's best setting; OIM taught has the keys of OIM alone."""
    taught = ("teacher=qeeps", "distill=identities", "teacher.qeeps.trainer.epochs=1", "trainer.epochs=1")
    size = ("teacher.qeeps.compression.backbone.widths=[16,16,16,16,16]",)
    run(*composed("study=both", *taught, *size))
    run(*composed("study=both", "student=qeeps", "trainer.epochs=1"))
    [student] = Path("outputs/both").glob("oim-tiny-qeeps-identities-*")
    assert results(student)["teachers"][0]["name"] == "qeeps"
    networks = [checkpoint.load(Path(place) / "last.pt")["network"] for place in (student, "outputs/oim")]
    assert list(networks[0]) == list(networks[1])
    [teacher] = Path("outputs/teachers").glob("qeeps-*")
    assert list(teacher.glob("people-*.npz"))
    table = compare_studies([Path("outputs/both")], device="cpu")
    assert "query-conditioned (qsse, qrpn, qsim) similarity, one forward per pair" in table
    assert "no example searches" not in caplog.text


def test_pairs_are_not_grouped_by_aspect(inside):
    config, _ = composed("student=qeeps", "student.loading.group_by_aspect=true")
    data = benchmark(config)
    task, _ = new_task(config, data)
    with pytest.raises(ValueError, match="group_by_aspect=false"):
        task.loader(data, batch_size=4, seed=1, workers=0)


def test_a_scene_without_a_query_is_a_batch_like_any_other():
    """Held-out scenes, on which agreement with teachers is measured, have none."""
    network, criterion, batch = toys.qeeps(), toys.criterion(), toys.batch()
    losses = criterion(network(batch.images, criterion.pick(batch), query=batch.query), batch)
    assert all(loss.isfinite() for loss in losses.values())
