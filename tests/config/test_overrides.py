"""Mistakes on the command line are refused before anything is built, and say what to write instead."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hydra import initialize_config_dir

from psearch.build import Trust, trusting
from psearch.config.overrides import check
from psearch.config.signatures import check_targets, hint

CONFIG = {
    "train.yaml": """
        defaults: [{student: oim}, {distill: none}, _self_]
        seed: 1
        study: default
        watch: true
        distill: {}
        """,
    "student/oim.yaml": """
        network: {_target_: torch.nn.LSTMCell, _partial_: true, input_size: 3}
        optimizer: {_target_: torch.optim.AdamW, _partial_: true, lr: 0.1}
        """,
    "distill/none.yaml": "# nothing",
    "distill/identities.yaml": "identities: {_target_: torch.nn.LSTMCell, input_size: 1}",
    "distill/features.yaml": "features: {_target_: torch.nn.LSTMCell, input_size: 1}",
    "distill/typo.yaml": "identities: {_target_: torch.nn.LSTMCell, input_sise: 1}",
    "distill/_shared.yaml": "# what others are made from",
    "distill/absent.yaml": "identities: {_target_: psearch.nowhere.Term}",
}


@pytest.fixture(autouse=True)
def hydra_on_a_small_config(tmp_path: Path) -> Iterator[None]:
    for name, text in CONFIG.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    with initialize_config_dir(str(tmp_path), version_base="1.3"):
        yield


@pytest.mark.parametrize(
    "override",
    [
        "seed=3",
        "watch=false",
        "student.network.input_size=5",
        "+student.network.bias=false",  # a parameter of the target that no file sets
        "++student.network.input_size=5",
        "student.optimizer.lr=1",
        "~student.optimizer.lr",
        "distill=[identities,features]",
        "seed=${oc.env:SEED}",
        "hydra.verbose=true",
        "+hydra.job.env_set.A=1",
    ],
)
def test_what_is_right_passes(override: str) -> None:
    check("train", [override])


@pytest.mark.parametrize(
    ("override", "says"),
    [
        (
            "student.netwrok.input_size=1",
            "there is no key 'student.netwrok.input_size'; did you mean 'student.network.input_size'",
        ),
        ("+student.network.input_sise=1", "did you mean 'student.network.input_size'"),
        ("++sed=1", "did you mean 'seed'"),
        ("~wach", "did you mean 'watch'"),
        ("lr=1", "did you mean 'student.optimizer.lr'"),
        ("+student.network.bais=true", "did you mean 'student.network.bias'"),
        ("student.network.bias=false", r"write \+student.network.bias=false"),
        ("+seed=3", r"seed is there already; write it without the '\+'"),
        ("studnet=oim", "did you mean 'student'"),
        ("student=omi", r"no such choice; did you mean 'oim'\? \(oim\)"),
        ("distill=[identities,feature]", "did you mean 'features'"),
        ("distill=null", "write distill=none"),
        ("distill=_shared", r"no such choice; did you mean .* \(absent, features, identities, none, typo\)"),
        ("seed=abc", "a number is expected, as in seed=1"),
        ("seed=true", "a number is expected"),
        ("seed=[1,2]", "a number is expected"),
        ("watch=1", "true or false is expected"),
        ("student.network.input_size=1.5", r"student\.network\.input_size=1\.5: int is expected"),
        ("+student.optimizer.amsgrad=7", r"student\.optimizer\.amsgrad=7: bool is expected"),
        ("study=../elsewhere", r"study=\.\./elsewhere: take letters"),
        ("study=teachers", "study=teachers"),
        (
            "distill=typo",
            r"distill\.identities\.input_sise: .* has no parameter 'input_sise'; did you mean 'input_size'",
        ),
        ("distill=absent", r"distill\.identities: cannot import psearch\.nowhere\.Term: No module named"),
    ],
)
def test_what_is_wrong_is_refused_with_what_to_write(override: str, says: str) -> None:
    with pytest.raises(ValueError, match=says) as caught:
        check("train", [override])
    assert "\n" not in str(caught.value)


def test_two_right_overrides_are_not_held_against_each_other() -> None:
    cfg, _ = check("train", ["distill=identities", "distill.identities.input_size=4", "seed=2"])
    assert (cfg.distill.identities.input_size, cfg.seed) == (4, 2)


def test_values_still_to_come_are_not_judged() -> None:
    check_targets({"_target_": "torch.nn.LSTMCell", "input_size": "???", "hidden_size": "${seed}"})


def test_a_target_that_takes_any_keyword_is_no_schema() -> None:
    with trusting(Trust(targets=frozenset({"builtins.dict"}))):
        check_targets({"_target_": "builtins.dict", "anything": 1})


def test_the_hint_prefers_a_like_last_part() -> None:
    assert hint("epochs", ["trainer.epochs", "echo", "teacher.seed"]) == "; did you mean 'trainer.epochs'?"
    assert hint("anything", []) == ""
