"""SeqNet and NAE in studies: as students, as teachers, from their authors' files, by every config file."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from hydra import initialize_config_dir

from psearch.config.compose import resolved
from psearch.config.overrides import check
from psearch.runs import checkpoint
from psearch.runs.config import EvaluateConfig
from psearch.runs.importers import seqnet as importer
from psearch.studies.evaluate import evaluate
from psearch.studies.recipe import make_task
from psearch.studies.train import run
from psearch.tasks.search import SearchTask
from psearch.tasks.task import DatasetFacts
from tests import toys
from tests.published import tensors_of
from tests.study import CONF, TINY, composed

FACTS = DatasetFacts(identities=5, anchor_sizes=(16.0, 24.0), aspect=2.0)
DATA = [override for override in TINY if override.startswith("data.")]
TERMS = ("objectness", "regions", "cwd", "embeddings", "relations", "prototypes", "identities", "dkd")
SIZES = ("tiny", "small", "r18_quarter", "mobilenet_v2", "efficientnet_b0")
FEW = {"pre_nms_top_n": 50, "post_nms_top_n": 8, "pre_nms_top_n_train": 50, "post_nms_top_n_train": 8}


def student(*overrides: str) -> SearchTask:
    config, _ = composed(*overrides)
    torch.manual_seed(0)
    config.compression["proposals"].update(FEW)  # type: ignore[attr-defined]
    config.compression["region_sampler"]["batch_size_per_image"] = 6
    task = make_task(config, FACTS)
    assert isinstance(task, SearchTask)
    return task


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", ["nae", "seqnet"])
def test_every_size_trains(name: str, size: str) -> None:
    task = student(f"student={name}", f"compression={size}")
    losses = task(toys.batch())
    assert set(losses) == set(task.weights) and all(loss.isfinite() for loss in losses.values())
    sum(losses.values(), torch.zeros(())).backward()
    unlearnt = [name for name, p in task.network.named_parameters() if p.grad is None]
    assert not unlearnt
    task.after_step()
    task.eval()
    with torch.inference_mode():
        output = task.network(toys.batch().images)
    assert output.embeddings is not None and output.embeddings.isfinite().all()


def test_oim_nae_and_qeeps_differ_by_their_head_alone() -> None:
    head = "+student.network.head={_target_: psearch.models.norm_aware.NormAwareHead, _partial_: true}"
    for name in ("oim", "qeeps"):
        task = student(f"student={name}", head)
        batch = toys.batch()
        if name == "qeeps":
            batch = replace(batch, query=toys.query_batch(batch))
        losses = task(batch)
        assert all(loss.isfinite() for loss in losses.values())
    plain, aware = (student("student=oim", *more).network.state_dict() for more in ((), (head,)))
    assert {key.split(".")[0] for key in set(plain) ^ set(aware)} == {"regions"}


@pytest.mark.parametrize("teacher", ["nae", "seqnet", "nae_r50", "seqnet_r50"])
def test_every_recipe_of_a_teacher_makes_a_task(teacher: str) -> None:
    config, _ = composed(
        f"teacher={teacher}",
        "distill=cwd",
        *([f"teacher.{teacher}.compression.backbone.weights=none"] if teacher.endswith("r50") else []),
    )
    recipe = config.teachers[teacher].recipe
    assert recipe is not None
    with torch.device("meta"):
        task = make_task(recipe, FACTS)
    assert {"box_logits", "embeddings"} <= task.provides
    if teacher.endswith("r50"):
        names = [name for name, p in task.network.named_parameters() if not p.requires_grad]
        assert names == ["backbone.stem.0.weight", "backbone.stem.1.weight", "backbone.stem.1.bias"]
        assert task.network.backbone.stem[1].training  # type: ignore[operator,union-attr,index]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with SeqNet's and NAE's files in it; their networks describe few boxes, to be quick."""
    folder, threads = tmp_path_factory.mktemp("published"), torch.get_num_threads()
    for kind in ("seqnet", "nae"):
        tensors = {f"module.{name}": value for name, value in tensors_of(kind, depth=18).items()}
        torch.save({"model": tensors, "epoch": 19}, folder / f"{kind}.pth")
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(importer.BUDGET, "post_nms_top_n", 6)
        yield folder
    torch.set_num_threads(threads)


def results(directory: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((directory / "results.json").read_text())
    return found


def config(*overrides: str) -> EvaluateConfig:
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return EvaluateConfig.parse(resolved(check("evaluate", ["device=cpu", *overrides])[0]))


@pytest.mark.parametrize("kind", ["seqnet", "nae"])
def test_a_published_file_is_evaluated(kind: str, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(home)
    data = ["data=synthetic", *DATA]
    evaluate(config(f"checkpoint={kind}.pth", f"output={kind}", f"evaluation={kind}", *data))
    found = results(home / kind)
    assert found["protocol"]["similarity"] == "embedding, times the detection's score"
    assert found["protocol"]["nms"] == (0.5 if kind == "seqnet" else 0.4)
    assert found["metrics"]["gt_mAP"] > 0 and found["cost"]["parameters"] > 1e7


def test_a_file_that_names_no_data_is_evaluated_on_what_is_said(home: Path) -> None:
    with pytest.raises(ValueError, match="seqnet.pth does not say which data it is of: add data="):
        evaluate(config(f"checkpoint={home / 'seqnet.pth'}"))


def test_a_published_file_teaches_by_every_kind_of_term(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(home)
    settings, variant = composed(
        "student=seqnet",
        "compression=r18_quarter",
        "student.network.max_detections=8",
        "compression.proposals.post_nms_top_n=8",
        "compression.proposals.post_nms_top_n_train=16",
        "compression.region_sampler.batch_size_per_image=8",
        "teacher=seqnet",
        f"teacher.seqnet.checkpoint={home / 'seqnet.pth'}",
        f"distill=[{','.join(TERMS)}]",
        "study=taught",
        "trainer.epochs=1",
    )
    assert run(settings, variant) is not None
    [record] = (home / "outputs" / "taught").glob("*/results.json")
    assert json.loads(record.read_text())["teachers"][0]["name"] == "seqnet"
    trained = checkpoint.load(record.parent / "last.pt")
    alone, _ = composed("student=seqnet", "compression=r18_quarter")
    assert set(trained["network"]) == set(make_task(alone, FACTS).network.state_dict())


def test_a_training_starts_from_a_published_file(home: Path) -> None:
    file = home / "nae.pth"
    settings, _ = composed("student=nae", "compression=r18", f"student.start={file}")
    task = make_task(settings, FACTS)
    task.begin()
    given = checkpoint.load(file)["network"]
    assert all(torch.equal(value, given[key]) for key, value in task.network.state_dict().items())
    other, _ = composed("student=seqnet", "compression=r18", f"student.start={file}")
    with pytest.raises(ValueError, match=r"does not fit .* missing \(first.box_logits.weight"):
        make_task(other, FACTS).begin()
