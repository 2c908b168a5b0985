"""The comparison of two versions of the code: what it calls equal, and what it says of a difference."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch

from tests import golden

TRACE = {"step": {"1": {"train/total": "2.5"}, "2": {"train/total": "2.25"}}, "criterion": ["a", "b"]}


def recorded(traces: dict[str, Any]) -> dict[str, Any]:
    return {"tree": "a commit", "machine": golden.machine(), "traces": traces}


def test_equal_traces_have_no_difference() -> None:
    assert golden.difference(TRACE, copy.deepcopy(TRACE)) is None


def test_the_first_step_that_differs_is_named_with_both_values() -> None:
    other = copy.deepcopy(TRACE)
    other["step"]["2"]["train/total"] = "2.2500002"  # type: ignore[index]
    other["criterion"] = ["a", "c"]
    said = golden.difference(TRACE, other)
    assert said == "step 2 train/total: 2.25 -> 2.2500002 and 1 more"


def test_more_steps_or_another_loss_are_a_difference() -> None:
    longer, wider = copy.deepcopy(TRACE), copy.deepcopy(TRACE)
    longer["step"]["3"] = {"train/total": "2.0"}  # type: ignore[index]
    wider["step"]["1"]["train/new"] = "0.0"  # type: ignore[index]
    assert golden.difference(TRACE, longer) == "step 3 train/total: absent -> 2.0"
    assert golden.difference(wider, TRACE) == "step 1 train/new: 0.0 -> absent"


def test_any_difference_fails_and_so_does_a_missing_trace(capsys: pytest.CaptureFixture[str]) -> None:
    before = recorded({"data": {}, "oim": TRACE})
    assert golden.report(before, recorded({"data": {}, "oim": TRACE}), ["oim"]) == 0
    assert golden.report(before, recorded({"data": {}}), ["oim"]) == 1
    assert golden.report(before, recorded({"oim": TRACE}), ["oim"]) == 1
    assert "oim" in capsys.readouterr().out


def test_names_of_buffers_do_not_count_and_their_values_do() -> None:
    one, two = torch.zeros(3), torch.ones(3)
    assert golden.values({"table": one, "queue": two}) == golden.values({"rows": two, "bank": one})
    assert golden.values({"table": one}) != golden.values({"table": one.double()})
    assert golden.values({"table": one}) != golden.values({"table": two})


def test_losses_are_kept_to_the_last_bit_and_speed_is_not(tmp_path: Path) -> None:
    file = tmp_path / "metrics.jsonl"
    file.write_text('{"step": 1, "train/total": 0.1000000014901161, "train/lr": 1, "train/memory_mb": 5}\n{}')
    assert golden.losses(file) == {"1": {"train/total": "0.1000000014901161"}}


def test_what_cannot_be_compared_is_said(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="no commit nowhere here"):
        golden.main(["nowhere"])
    (tmp_path / "other.json").write_text("[]")
    with pytest.raises(SystemExit, match="no recorded traces"):
        golden.main(["--against", str(tmp_path / "other.json")])
    with pytest.raises(SystemExit):
        golden.main([])


def test_an_override_is_spelt_as_the_other_version_wants_it() -> None:
    assert golden.respelt("trainer.epochs=2", {"trainer.epochs": "train.epochs"}) == "train.epochs=2"
    assert golden.respelt("trainer.epochs=2", {}) == "trainer.epochs=2"
