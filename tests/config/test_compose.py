"""Every YAML composes and fits the constructors it names; a config becomes plain values and a variant."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig, OmegaConf

from psearch.config.compose import resolved, variant
from psearch.config.overrides import check
from psearch.config.program import CONF
from psearch.identity import config_hash

FILES = sorted(path.relative_to(CONF) for path in CONF.rglob("*.yaml"))
ROOTS = [path.stem for path in FILES if len(path.parts) == 1]
CHOICES = [path for path in FILES if len(path.parts) > 1 and not path.stem.startswith("_")]
TAUGHT = ["teacher=reid", "distill=identities"]


@pytest.fixture(autouse=True)
def hydra_initialised() -> Iterator[None]:
    with initialize_config_dir(str(CONF), version_base="1.3"):
        yield


def composed(*overrides: str) -> tuple[DictConfig, DictConfig]:
    cfg = compose("train", list(overrides), return_hydra_config=True)
    return OmegaConf.masked_copy(cfg, [str(key) for key in cfg if key != "hydra"]), cfg.hydra


@pytest.mark.parametrize("root", ROOTS)
def test_every_root_config_composes_and_fits_its_targets(root: str) -> None:
    check(root, [])


@pytest.mark.parametrize("path", CHOICES, ids=str)
def test_every_choice_composes_and_fits_its_targets(path: Path) -> None:
    check("train", [f"{path.parent}={path.stem}"])


@pytest.mark.parametrize("path", FILES, ids=str)
def test_every_file_opens_with_a_comment_that_help_can_show(path: Path) -> None:
    comments = [line for line in (CONF / path).read_text().splitlines() if not line.startswith("# @")]
    assert re.match(r"# ?\w", comments[0]), f"the first line of {path} should say in a comment what it is"


@pytest.mark.parametrize("path", sorted((CONF / "experiment").glob("*.yaml")), ids=lambda path: path.stem)
def test_an_experiment_opens_with_the_command_that_runs_it(path: Path) -> None:
    package, comment = path.read_text().splitlines()[:2]
    assert package == "# @package _global_"
    assert f"python -m psearch.train -m experiment={path.stem}" in comment


def test_a_value_that_must_be_given_is_named() -> None:
    cfg, _ = composed("data=coco")
    with pytest.raises(ValueError, match=r"data\.root has no value: add data\.root=\.\.\. to the command"):
        resolved(cfg)


def test_a_stage_that_does_not_exist_is_refused() -> None:
    with pytest.raises(ValueError, match="stage=teachr: choose all or teacher"):
        check("train", ["stage=teachr"])


def test_resolved_is_plain_and_without_interpolations(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WHERE", "there")
    cfg, _ = composed("data.root=${oc.env:WHERE}", "study=2026")
    config = resolved(cfg)
    assert type(config) is dict and type(config["data"]) is dict
    assert config["data"]["root"] == "there" and config["seed"] == 1
    assert config["study"] == "2026"


def test_a_config_that_trains_nothing_is_resolved_too() -> None:
    assert resolved(compose("evaluate"))["checkpoint"] is None


def test_a_teacher_without_a_term_is_the_student_alone() -> None:
    (cfg, hydra), (alone, hydra_alone) = composed("teacher=reid", "teacher.reid.seed=3"), composed()
    assert resolved(cfg) == resolved(alone)
    assert variant(cfg, hydra) == variant(alone, hydra_alone)


def test_a_teacher_stays_where_it_is_trained_or_asked() -> None:
    for overrides in (TAUGHT, ["teacher=reid", "stage=teacher"]):
        cfg, hydra = composed(*overrides)
        assert resolved(cfg)["teacher"] != {}
        assert variant(cfg, hydra)["teacher"] == "reid"


def test_variant_names_choices_and_deciding_overrides_only() -> None:
    cfg, hydra = composed(
        *TAUGHT, "seed=7", "study=mine", "trainer.epochs=2", "teacher.reid.seed=3", "logger=jsonl"
    )
    assert variant(cfg, hydra) == {
        "student": "oim",
        "compression": "tiny",
        "teacher": "reid",
        "distill": "identities",
        "data": "synthetic",
        "seed": 7,
        "overrides": ["trainer.epochs=2", "teacher.reid.seed=3"],
    }


def test_what_only_watches_or_hurries_is_no_override_that_tells_runs_apart() -> None:
    """Two seeds of a variant stay one row, whichever workers read its data and wherever that lies."""
    neutral = ["trainer.workers=1", "trainer.log_every_s=1", "teacher.reid.trainer.threads=1", "data.root=x"]
    chosen = variant(*composed(*TAUGHT, *neutral, "trainer.clip=5"))
    assert chosen["overrides"] == ["trainer.clip=5"]


def test_a_teacher_from_a_file_is_known_by_its_weights(tmp_path: Path) -> None:
    """Both ways to name it; another file of the same weights is the same run, and a missing one no run."""

    def known(key: str, name: str) -> str:
        return config_hash(resolved(composed(*TAUGHT, f"{key}={tmp_path / name}")[0]))

    for name, fill in (("a.pt", 1.0), ("b.pt", 1.0), ("c.pt", 2.0)):
        torch.save({"network": {"w": torch.full((2,), fill)}, "config": {}, "facts": {}}, tmp_path / name)
    one = known("teacher.checkpoint", "a.pt")
    assert one == known("teacher.reid.checkpoint", "b.pt") != known("teacher.checkpoint", "c.pt")
    shutil.copy(tmp_path / "c.pt", tmp_path / "a.pt")
    assert known("teacher.checkpoint", "a.pt") == known("teacher.checkpoint", "c.pt")
    with pytest.raises(ValueError, match="there is no checkpoint"):
        known("teacher.checkpoint", "d.pt")


def test_several_teachers_lie_side_by_side_under_their_names() -> None:
    cfg, hydra = composed("teacher=[detector,reid]", "distill=[detector,identities]", "teacher.reid.seed=3")
    assert set(cfg.teacher) == {"checkpoint", "detector", "reid"} and cfg.teacher.reid.seed == 3
    assert cfg.teacher.detector.student.weights.identity == 0
    chosen = variant(cfg, hydra)
    assert (chosen["teacher"], chosen["distill"]) == ("detector+reid", "detector+identities")


def test_a_weight_may_be_a_schedule() -> None:
    taught = ["teacher=detector", "distill=detector"]
    cfg, _ = check("train", [*taught, "distill.features.weight={start:0,end:1,epochs:2}"])
    assert cfg.distill.features.weight == {"start": 0, "end": 1, "epochs": 2}
    for mistake in ("distill.features.weight=much", "trainer.epochs={start:0,end:1,epochs:2}"):
        with pytest.raises(ValueError, match="a number is expected"):
            check("train", [*taught, mistake])


@pytest.mark.parametrize("scale", ["tiny", "small"])
def test_a_published_study_runs_in_small_with_one_more_override(scale: str) -> None:
    cfg, hydra = composed("experiment=bmvc2019_resnet18", f"scale={scale}", "distill=[detector,identities]")
    chosen = variant(cfg, hydra)
    assert (chosen["data"], chosen["compression"], chosen["teacher"]) == ("synthetic", scale, "detector+reid")
    assert cfg.study == f"bmvc2019_{scale}" and cfg.trainer.optimizer._target_ == "torch.optim.AdamW"
    check("train", ["experiment=bmvc2019_resnet18", f"scale={scale}"])


def test_a_list_of_terms_is_named_by_its_files(tmp_path: Path) -> None:
    (tmp_path / "distill").mkdir()
    (tmp_path / "distill" / "softer.yaml").write_text(
        "# Another reading of a term\nidentities: {anchor_strength: 0.5}\n"
    )
    search = f"hydra.searchpath=[file://{tmp_path}]"
    cfg, hydra = composed(search, "teacher=reid", "distill=[identities,softer]")
    assert variant(cfg, hydra)["distill"] == "identities+softer"
    assert cfg.distill.identities.anchor_strength == 0.5


def test_options_of_a_network_of_timm_are_written_as_a_mapping() -> None:
    chosen = ["compression=timm", "compression.backbone.name=resnet18"]
    cfg, _ = check("train", [*chosen, "compression.backbone.options={output_stride:8}"])
    assert cfg.compression.backbone.options == {"output_stride": 8}
