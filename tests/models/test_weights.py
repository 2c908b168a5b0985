"""Files of weights: what is read, what is refused and how, and that nothing is left unsaid of what fits."""

from __future__ import annotations

import argparse
import logging
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from PIL import Image
from torch import nn

from psearch.config.weights import named
from psearch.models.weights import file_of, fit, read


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))


def refused(path: Path) -> str:
    with pytest.raises(ValueError) as caught:
        read(path, f"start={path.name}")
    return str(caught.value)


def write_truncated(path: Path) -> None:
    torch.save(network().state_dict(), path)
    path.write_bytes(path.read_bytes()[:1500])


def write_nan(path: Path) -> None:
    state = network().state_dict()
    state["0.bias"][1] = float("nan")
    torch.save(state, path)


def write_script(path: Path) -> None:
    torch.jit.script(network()).save(str(path))


SPOILT: dict[str, tuple[Callable[[Path], object], str]] = {
    "truncated": (write_truncated, "damaged, cut off or no weights"),
    "empty": (lambda path: path.write_bytes(b""), "damaged, cut off or no weights"),
    "text": (lambda path: path.write_text("hello"), "damaged, cut off or no weights"),
    "picture": (lambda path: Image.new("RGB", (8, 8)).save(path, "JPEG"), "is a picture, not weights"),
    "nan": (write_nan, r"1 tensors hold NaN or infinite values \(0.bias\)"),
    "module": (lambda path: torch.save(network(), path), r"Python objects \(torch.nn.modules.container.Seq"),
    "list": (lambda path: torch.save([1], path), "holds a list, not a state dict"),
    "numbers": (lambda path: torch.save({"epoch": 3}, path), "holds no weights; it has epoch"),
    "program": (write_script, "TorchScript program"),
}


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
@pytest.mark.parametrize("kind", SPOILT)
def test_a_bad_file_is_one_message_without_advice_to_switch_the_protection_off(
    kind: str, tmp_path: Path
) -> None:
    write, words = SPOILT[kind]
    write(tmp_path / "w.pt")
    message = refused(tmp_path / "w.pt")
    assert message.startswith("start=w.pt") and "\n" not in message and "weights_only" not in message
    with pytest.raises(ValueError, match=words):
        read(tmp_path / "w.pt", "start=w.pt")


def test_a_missing_file_and_a_folder_are_named(tmp_path: Path) -> None:
    assert "No such file" in refused(tmp_path / "gone.pt") and "Is a directory" in refused(tmp_path)


def test_objects_beside_tensors_are_refused_in_old_and_new_files(tmp_path: Path) -> None:
    state = {"state_dict": network().state_dict(), "args": argparse.Namespace(lr=1)}
    for new in (True, False):
        torch.save(state, tmp_path / "w.pt", _use_new_zipfile_serialization=new)
        assert "argparse.Namespace" in refused(tmp_path / "w.pt")


@pytest.mark.parametrize("key", ["state_dict", "model", "model_state_dict", "network", None])
def test_a_state_dict_is_found_wherever_it_is_kept(key: str | None, tmp_path: Path) -> None:
    state = {f"module.{name}": value for name, value in network().state_dict().items()}
    torch.save({key: state, "epoch": 3} if key else state, tmp_path / "w.pt")
    assert read(tmp_path / "w.pt", "w").tensors.keys() == network().state_dict().keys()


def test_safetensors_are_read(tmp_path: Path) -> None:
    save_file = pytest.importorskip("safetensors.torch").save_file
    save_file(network().state_dict(), tmp_path / "w.safetensors")
    assert read(tmp_path / "w.safetensors", "w").tensors.keys() == network().state_dict().keys()
    (tmp_path / "w.safetensors").write_bytes(b"1234567890")
    assert "damaged" in refused(tmp_path / "w.safetensors")


def test_what_fits_is_used_and_the_rest_is_told(caplog: pytest.LogCaptureFixture) -> None:
    module, given = network(), {name: value + 1 for name, value in network().state_dict().items()}
    del given["1.num_batches_tracked"]
    with caplog.at_level(logging.INFO, "psearch"):
        fit(module, {**given, "fc.weight": torch.zeros(1)}, what="weights=w.pt", spare={"fc.weight"})
    assert caplog.messages == ["weights=w.pt: 6 tensors used, 1 (fc.weight) left over, none missing"]
    assert all(torch.equal(module.state_dict()[name], value) for name, value in given.items())


def test_a_misfit_names_the_first_ten_and_changes_nothing() -> None:
    module = nn.Sequential(*(nn.Linear(2, 2) for _ in range(12)))
    before = {name: value.clone() for name, value in module.state_dict().items()}
    given = {"0.weight": torch.ones(2, 2), "0.bias": torch.ones(3), "head.bias": torch.ones(1)}
    with pytest.raises(ValueError) as caught:
        fit(module, given, what="start=w.pt")
    message = str(caught.value)
    assert "22 missing (1.weight, 1.bias, 2.weight" in message and "5.bias, …)" in message
    assert "1 unknown here (head.bias)" in message
    assert "1 of another shape (0.bias (3,), not (2,))" in message
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())


def test_a_start_may_lack_what_is_told_to_be_fresh() -> None:
    module = network()
    fit(module, {"0.weight": torch.zeros(4, 3, 3, 3), "0.bias": torch.zeros(4)}, what="w",
        fresh={name for name in module.state_dict() if name.startswith("1.")})  # fmt: skip
    assert not module[0].weight.any() and module[1].weight.all()


def test_a_file_is_known_by_its_content(tmp_path: Path) -> None:
    one, two, other = (tmp_path / name for name in ("one.pt", "two.pt", "other.pt"))
    for path, value, new in ((one, 1.0, True), (two, 1.0, False), (other, 2.0, True)):
        torch.save({"w": torch.tensor(value)}, path, _use_new_zipfile_serialization=new)
    prints = [named(str(path), "student.start")["fingerprint"] for path in (one, two, other)]  # type: ignore[index, call-overload]
    assert prints[0] == prints[1] != prints[2]
    assert file_of(named(str(one), "student.start")) == one
    assert named("none", "weights") is None and named("imagenet_v1", "weights") == "imagenet_v1"
    with pytest.raises(ValueError, match=r"backbone.weights=imagenet_v9: there is no such file.*imagenet_v1"):
        named("imagenet_v9", "compression.backbone.weights")
