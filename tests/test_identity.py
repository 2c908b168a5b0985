"""What a run is: which keys decide, which do not, and that everybody agrees about it."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator, Mapping
from copy import deepcopy
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

import pytest
import yaml
from hydra import initialize_config_dir

from psearch.config.compose import resolved
from psearch.config.overrides import compose
from psearch.identity import (
    NEUTRAL,
    PRESENCE,
    address,
    code_of,
    config_hash,
    decides,
    deciding,
    differences,
    job_name,
    leaves,
    own_key,
    settings,
    stale,
    targets,
)
from psearch.runs.config import TeacherConfig
from psearch.sources import signature_defaults

CONF = Path(__file__).parents[1] / "conf"

DECIDING = """
seed
data: _target_ name sides gallery_size subset published_boxes seed height width queries
    train_scenes val_scenes test_scenes train_identities val_identities test_identities held_out
student: _target_ _partial_ qsse qrpn qsim negatives others start
student.network: _target_ _partial_ embedding crop strips qsse_bias pair_proposals qsse qrpn qsim
    box_code first_score geometry head max_detections nms_threshold score_threshold
student.network.head: _target_ _partial_ box_norm
student.memory: _target_ _partial_ temperature momentum queue
student.criterion: _target_ _partial_ temperature smoothing
student.anchors: count sizes aspects
student.weights: rpn_object rpn_box roi_class roi_box identity qrpn_object similarity
    stage1_box stage1_class
student.loading: flip multi_scale group_by_aspect shift scale colour erase per_identity
compression.backbone: _target_ widths region_size strips name depth width weights frozen_norm
    frozen_stem align_samples keep_layout options
compression.proposals: pre_nms_top_n post_nms_top_n nms_thresh pre_nms_top_n_train post_nms_top_n_train
compression.proposal_loss: _target_ batch_size_per_image positive_fraction fg_iou_thresh bg_iou_thresh
    shared_best
compression.region_sampler: _target_ batch_size_per_image positive_fraction fg_iou_thresh bg_iou_thresh
trainer: _target_ epochs batch_size clip decay_norms accumulate autocast channels_last norm
trainer.optimizer: _target_ _partial_ lr weight_decay fused momentum
trainer.schedule: _target_ _partial_ warmup warmup_epochs milestones cycle_momentum factor
distill: _target_ weight teacher taps temperature foreground background attention relation alpha beta measure
    direction scale margin aggregate update anchor_strength queue source mu nu
    batch_size_per_image fg_iou_thresh
evaluation: split galleries
evaluation.evaluator: _target_ score_threshold nms_threshold protocol also_protocols keep_top max_detections
    low_score_threshold rerank confidence_weighted
evaluation.evaluator.rerank: _target_ k1 k2 overlap
"""
"""Every key of conf/ that decides a result, and every parameter with a default that its targets take. A new
key belongs here or, with the reason, into `psearch.identity.NEUTRAL`: a decision about what a run is."""

FROZEN = {
    "_target_",
    "_partial_",
    "model",
    "name",
    "options",
    "crop",
    "centre",
    "image_scale",
    "dimensions",
    "taps",
    "weights",
}
"""Keys of a teacher that is a frozen network of another program."""

BY_CONTENT = {"checkpoint", "teacher.checkpoint", *PRESENCE}
"""Keys of files and folders, of which something else decides than where they are; see `deciding`."""

NO_KEYS = {"experiment", "scale", "hydra"}
"""NEUTRAL groups that are no keys of a resolved config."""

COMING = {"outputs", "extensions", "rerun"}
"""NEUTRAL keys that no config has yet."""


def decided() -> set[str]:
    """DECIDING as whole keys."""
    found = set()
    for line in DECIDING.strip().replace("\n    ", " ").split("\n"):
        node, _, names = line.rpartition(":")
        found |= {f"{node}.{name}" if node else name for name in names.split()}
    return found


def keys_of(node: Mapping[str, Any], path: str) -> Iterator[str]:
    """The leaves below a node, and what its target would take besides."""
    for key, value in node.items():
        name = f"{path}.{key}" if path else key
        if isinstance(value, dict):
            yield from keys_of(value, name)
        else:
            yield name
    if str(node.get("_target_", "")).startswith("psearch."):
        yield from (f"{path}.{name}" for name in defaults_of(node["_target_"]))


def defaults_of(target: str) -> dict[str, Any]:
    parameters = inspect.signature(resolve_name(target)).parameters.values()
    return {p.name: p.default for p in parameters if p.default is not p.empty}


def nodes() -> Iterator[tuple[str, dict[str, Any]]]:
    """Where each file of a group of `train` puts its keys, and its keys."""
    for group in ("data", "student", "compression", "trainer", "evaluation", "teacher", "distill", "logger"):
        for file in sorted((CONF / group).glob("*.yaml")):
            below = group == "teacher" or file.stem == "_fgd"  # which others include under a name
            yield (f"{group}.{file.stem}" if below else group), _own(file)
    wholes = [file for group in ("experiment", "scale") for file in sorted((CONF / group).glob("*.yaml"))]
    yield from (("", _own(file)) for file in [CONF / "train.yaml", *wholes])


def _own(file: Path) -> dict[str, Any]:
    node = yaml.safe_load(file.read_text()) or {}
    return {key: value for key, value in node.items() if key not in ("defaults", "hydra")}


def every_key() -> set[str]:
    """The same key of several teachers or terms is one."""
    found = {own_key(key) for path, node in nodes() for key in keys_of(node, path)}
    return {re.sub(r"^distill\.[^.]+", "distill", key) for key in found}


def test_every_key_is_decided_upon() -> None:
    keys = every_key()
    assert {key for key in keys if decides(key)} == decided() | BY_CONTENT | FROZEN
    named = {key for key in NEUTRAL if any(f"{other}.".startswith(f"{key}.") for other in keys)}
    assert set(NEUTRAL) == named | NO_KEYS | COMING


def targets_of_conf() -> list[str]:
    return sorted({target for _, node in nodes() for target in targets(node) if not target.endswith("Wandb")})


@pytest.mark.parametrize("target", targets_of_conf())
def test_defaults_read_from_the_source_are_those_of_the_signature(target: str) -> None:
    literal = (bool, int, float, str, tuple, type(None))
    true = {name: value for name, value in defaults_of(target).items() if isinstance(value, literal)}
    true.pop("rank_timeout_s", None)  # a constant of another module, and neutral
    read = signature_defaults(target)
    if target.startswith("torch."):  # whose signatures are large; what is read must be right
        true = {name: true[name] for name in read}
    assert read == true and (read or not true)


TAUGHT = ["teacher=reid", "distill=identities", "student=qeeps", "compression=tiny"]


@pytest.fixture(scope="module")
def config() -> dict[str, Any]:
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return resolved(compose("train", TAUGHT))


def changed(config: Mapping[str, Any], key: str, value: Any) -> dict[str, Any]:
    """The config with another value for a key, or (...) without it."""
    copy: dict[str, Any] = deepcopy(dict(config))
    node = copy
    *parents, last = key.split(".")
    for parent in parents:
        node = node[parent]
    node[last] = value
    if value is ...:
        del node[last]
    return copy


VARIANT = {"student": "qeeps", "compression": "tiny", "teacher": "reid", "distill": "identities", "seed": 1}


def recipe_of(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """What the teacher of a run is trained by."""
    recipe = TeacherConfig.parse("reid", config["teacher"]["reid"], config["data"]).recipe
    assert recipe is not None
    return recipe.plain


def same(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether all who ask agree that two configs are one run, with one teacher; they must agree."""
    teachers = [address(recipe_of(config), "data", "code") for config in (one, other)]
    answers = {
        job_name(VARIANT, one, "data") == job_name(VARIANT, other, "data") and teachers[0] == teachers[1],
        deciding(one) == deciding(other),
        differences(one, other) == [],
        settings(one) == settings(other),
    }
    assert len(answers) == 1
    return answers.pop()


def neutral_keys() -> list[str]:
    inside = [key for key in NEUTRAL if "." in key]
    return [*NEUTRAL, *(f"teacher.reid.{key}" for key in inside if key.startswith("trainer."))]


@pytest.mark.parametrize("key", neutral_keys())
def test_a_neutral_key_changes_no_name_no_row_and_no_teacher(config: dict[str, Any], key: str) -> None:
    assert same(config, changed(config, key, "another"))
    assert same(config, changed(config, key, ...) if key in dict(leaves(config)) else config)


@pytest.mark.parametrize(
    "key", ["trainer.epochs", "teacher.reid.trainer.epochs", "student.memory.queue", "data.seed"]
)
def test_a_deciding_key_is_another_run_and_another_row(config: dict[str, Any], key: str) -> None:
    other = changed(config, key, 77)
    assert not same(config, other)
    assert [line.partition(":")[0] for line in differences(config, other)] == [key]
    assert differences(config, other)[0].endswith("-> 77")


def test_seeds_are_runs_of_one_row(config: dict[str, Any]) -> None:
    for key in ("seed", "teacher.reid.seed"):
        other = changed(config, key, 77)
        assert config_hash(other) != config_hash(config) and settings(other) == settings(config)


def test_a_default_written_out_or_deleted_or_in_other_words_is_the_same_run(config: dict[str, Any]) -> None:
    for value in (10, 10.0, ...):
        assert same(config, changed(config, "trainer.clip", value))
    assert not same(config, changed(config, "trainer.clip", 5))
    assert not same(config, changed(config, "trainer.decay_norms", True))
    assert same(config, changed(config, "trainer.norm", "local"))
    assert not same(config, changed(config, "trainer.norm", "sync"))
    assert same(config, changed(config, "student.loading.multi_scale", (1,)))
    assert not same(config, changed(config, "student.loading.multi_scale", (1, 2)))
    assert same(config, changed(config, "trainer.optimizer.betas", [0.9, 0.999]))
    assert same(config, dict(reversed(config.items())))


def test_a_switch_is_no_number(config: dict[str, Any]) -> None:
    """True == 1 in Python; `retries: 1` where the default is True is something else."""
    assert not same(config, changed(config, "distill.identities.queue", 1))


def test_only_that_pictures_go_through_a_cache_decides(config: dict[str, Any]) -> None:
    one, other = (changed(config, "student.loading.cache", place) for place in ("here", "there"))
    assert same(one, other) and not same(one, config)


def test_the_content_of_the_data_decides_not_its_place(config: dict[str, Any]) -> None:
    moved = changed(config, "data.root", "elsewhere")
    assert job_name(VARIANT, config, "one") == job_name(VARIANT, moved, "one")
    assert job_name(VARIANT, config, "one") != job_name(VARIANT, config, "other")
    recipe = recipe_of(config)
    known = {address(recipe, data, code) for data in ("one", "other") for code in ("new", "old")}
    assert len(known) == 4 and {len(each) for each in known} == {12}


def test_weights_from_a_file_decide_by_their_content(config: dict[str, Any]) -> None:
    """For a teacher in place of its recipe, which has no part in it any more."""
    for key, rest in (("student.start", {}), ("teacher.reid", config["teacher"]["reid"])):
        one, moved, other = (
            changed(config, key, {**rest, "checkpoint": place, "fingerprint": content})
            for place, content in (("a.pt", "1"), ("b.pt", "1"), ("a.pt", "2"))
        )
        assert config_hash(one) == config_hash(moved) and settings(one) == settings(moved)
        assert len({config_hash(each) for each in (config, one, other)}) == 3
    retrained = {**rest, "trainer": {"epochs": 9}, "checkpoint": "a.pt", "fingerprint": "1"}
    assert config_hash(changed(config, "teacher.reid", retrained)) == config_hash(one)


def test_a_run_without_a_config_is_told_by_its_overrides() -> None:
    overrides = ["+trainer.epochs=3", "trainer.workers=2", "seed=4", "teacher.reid.seed=1", "distill=none"]
    assert settings({}, overrides) == {"trainer.epochs": "3"}


@pytest.mark.parametrize(
    "key", ["experiment", "hydra/launcher", "teacher.reid.trainer.threads", "logger.mode"]
)
def test_overrides_are_asked_about_by_their_keys(key: str) -> None:
    assert not decides(key)


def test_a_finished_run_is_stale_by_what_has_changed() -> None:
    made = {"code": "a", "data": "b"}
    assert stale(made, {"code": "a", "data": "b"}) == []
    assert stale(made, {"code": "c", "data": "b"}) == ["code"]
    assert stale({"data": "b"}, {"code": "c", "data": "x"}) == ["code", "data"]


def test_job_names() -> None:
    name = job_name(VARIANT, {"trainer": {"epochs": 5}})
    assert name == f"qeeps-tiny-reid-identities-seed1-{config_hash({'trainer': {'epochs': 5}})[:6]}"
    assert "-features+identities-" in job_name(VARIANT | {"distill": "features,identities"}, {})


@pytest.mark.parametrize("evil", ["../../etc", "/tmp/x", "a;rm -rf $(HOME)\n#", "-rf", "é" * 300, "."])
def test_job_names_stay_inside_the_study(evil: str) -> None:
    name = job_name(VARIANT | {"student": evil}, {})
    assert Path(name).name == name and len(name) < 150 and name[0] not in ".-"
    assert all(c.isascii() and (c.isalnum() or c in "_+.-") for c in name)


def test_code_counts_that_the_config_builds_and_not_that_which_watches(config: dict[str, Any]) -> None:
    root = "psearch.studies.fit"
    assert code_of(config, root) == code_of(
        changed(config, "logger", {"_target_": "psearch.report.page.x"}), root
    )
    assert code_of(config, root) != code_of(changed(config, "distill", {}), root)


def test_code_of_an_extension_counts_and_that_of_torch_is_known_by_its_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    file = tmp_path / "an_extension_of_mine.py"
    config = {"distill": {"mine": {"_target_": f"{file.stem}.Mine"}}, "x": {"_target_": "torch.nn.Linear"}}
    digests = []
    for text in ("class Mine: pass", "class Mine: x = 1"):
        file.write_text(text)
        digests.append(code_of(config))
    assert digests[0] != digests[1]
    assert code_of({"x": config["x"]}) == code_of({})
    assert code_of({"logger": config["distill"]}) == code_of({})
