"""A trunk pretrained on pictures without labels, and a student that starts from it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from psearch.runs import checkpoint
from psearch.studies.recipe import new_task
from psearch.studies.train import run
from tests.data.published_layouts import picture
from tests.study import composed

pytest.importorskip("timm")
TEACHER = (
    "teacher=timm",
    "teacher.timm.name=resnet18",
    "teacher.timm.weights=none",
    "teacher.timm.taps={c4:8}",
)
PLAIN = ("data=folder", "data.root=pictures", "student=pretrain", "logger=jsonl", "device=cpu")
SHORT = ("trainer.epochs=2", "trainer.batch_size=4")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("pretrain")
    for number in range(12):
        picture(place / "pictures" / f"{number % 3}" / f"{number}.jpg", 64, 96, seed=number)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        threads = torch.get_num_threads()
        run(*composed(*PLAIN, *SHORT, *TEACHER, "distill=features", "directory=trunk", fresh=True))
        torch.set_num_threads(threads)
    return place


@pytest.fixture
def inside(home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(home)
    return home


def test_it_comes_nearer_to_its_teacher_and_says_how_near(inside: Path) -> None:
    results = json.loads(Path("outputs/trunk/results.json").read_text())
    assert results["status"] == "ok" and "metrics" not in results
    assert results["held_out"]["distill/features"] > 0
    rows = [json.loads(line) for line in Path("outputs/trunk/metrics.jsonl").read_text().splitlines()]
    losses = [row["train/distill/features"] for row in rows if "train/distill/features" in row]
    assert losses[-1] < losses[0]


def test_a_student_starts_from_the_trunk_and_has_the_keys_it_always_has(inside: Path) -> None:
    trunk = checkpoint.load("outputs/trunk/last.pt")["network"]
    config, _ = composed("compression.backbone.weights=outputs/trunk/last.pt")
    assert config.compression["backbone"]["weights"]["fingerprint"]
    from psearch.build import build

    student, _ = new_task(config, build(config.data))
    own = student.network.state_dict()
    assert all(torch.equal(own[name], value) for name, value in trunk.items())
    assert {name for name in own if name.startswith("backbone.")} == set(trunk)


def test_it_is_not_trained_alone_and_not_by_terms_on_people(inside: Path) -> None:
    for overrides, words in (
        (["distill=none"], "learns from a teacher alone: add teacher=timm"),
        (["distill=relations"], "distill=relations is no term on feature maps"),
    ):
        with pytest.raises(ValueError, match=words):
            run(*composed(*PLAIN, *SHORT, *TEACHER, *overrides, "directory=bad", fresh=True))


def test_pictures_without_boxes_train_no_search(inside: Path) -> None:
    with pytest.raises(ValueError, match="no boxes to learn from"):
        run(*composed("data=folder", "data.root=pictures", "logger=jsonl", "device=cpu", fresh=True))
