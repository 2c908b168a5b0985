"""Weights of SeqNet and NAE as their authors' programs save them, and files that are none."""

from __future__ import annotations

import argparse
import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pytest
import torch
from PIL import Image
from torch import Tensor

from psearch.models.resnet import ResNetC4
from psearch.runs import checkpoint
from psearch.runs.importers.seqnet import RENAMED, network_of
from psearch.studies.recipe import restored_task
from tests import seeded
from tests.published import shapes_of

Tensors = dict[str, Tensor]


@pytest.fixture(scope="module")
def published() -> Callable[[str], Tensors]:
    """kind -> the tensors of a published file with ResNet-18, made once."""
    made: dict[str, Tensors] = {}

    def tensors(kind: str) -> Tensors:
        if kind not in made:
            made[kind] = seeded.state(shapes_of(kind, depth=18), seed=1)
        return dict(made[kind])

    return tensors


def saved(path: Path, tensors: Mapping[str, Tensor], **more: Any) -> Path:
    torch.save({"model": tensors, "epoch": 19, **more}, path, _use_new_zipfile_serialization=False)
    return path


@pytest.mark.parametrize("kind", ["seqnet", "nae"])
def test_a_published_file_becomes_the_network_it_holds(
    kind: str, published: Callable[[str], Tensors], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    tensors = published(kind)
    wrapped = {f"module.{name}": value for name, value in tensors.items()} | {
        "module.extra.weight": torch.ones(2)
    }
    path = saved(tmp_path / "epoch_19.pth", wrapped, cfg={"SEED": 1}, optimizer={"state": {}})
    state = checkpoint.load(path)
    task = restored_task(state, path)
    keys = task.network.state_dict()
    names = network_of(tensors).names
    for ours, value in keys.items():
        if ours in names:
            assert torch.equal(value, tensors[names[ours]]), ours
    assert set(keys) - set(names) == {"proposals.sizes", "proposals.aspects"}
    memory: Any = task.criterion.memory
    assert torch.equal(memory.table, tensors["roi_heads.reid_loss.lut"])
    assert torch.equal(memory.queue, tensors["roi_heads.reid_loss.cq"])
    assert task.network.stages == (2 if kind == "seqnet" else 1)
    [told] = [record.getMessage() for record in caplog.records if "left over" in record.getMessage()]
    assert (
        f"{len(tensors)} of its {len(tensors) + 1} tensors used; left over: extra.weight; missing: none"
        in told
    )
    assert ("SeqNet" if kind == "seqnet" else "NAE") in told and "60 identities, queue 40" in told


def test_older_words_are_read_too(published: Callable[[str], Tensors], tmp_path: Path) -> None:
    """torchvision before 0.13 called the convolution of the proposals otherwise, torch before 0.4.1 counted
    no batches, and a box layer need not have a norm."""
    tensors = published("nae")
    older = {
        name.replace("conv.0.0.", "conv."): value
        for name, value in tensors.items()
        if not name.endswith("num_batches_tracked") and "bbox_pred.1." not in name
    }
    older = {
        name.replace("box_predictor.bbox_pred.0.", "box_predictor.bbox_pred."): v for name, v in older.items()
    }
    path = saved(tmp_path / "checkpoint.pth", older)
    network = restored_task(checkpoint.load(path), path).network
    kept = network.state_dict()
    assert torch.equal(kept["proposals.head.conv.0.0.weight"], tensors["rpn.head.conv.0.0.weight"])
    assert torch.equal(
        kept["regions.boxes.deltas.0.bias"], tensors["roi_heads.box_predictor.bbox_pred.0.bias"]
    )
    assert "regions.boxes.deltas.1.weight" not in kept


def test_every_part_of_our_name_has_one_of_theirs() -> None:
    ours = [beginning for beginning, _ in RENAMED]
    assert len(set(ours)) == len(ours) == len({theirs for _, theirs in RENAMED})


def spoilt(tensors: Tensors, change: str) -> Tensors:
    if change == "missing":
        return {name: value for name, value in tensors.items() if ".reid_head.layer4.1." not in name}
    if change == "shape":
        name = "roi_heads.embedding_head.projectors.feat_res5.0.weight"
        return tensors | {name: tensors[name][:, :7]}
    if change == "nan":
        return tensors | {"backbone.layer1.0.conv1.weight": torch.full((64, 64, 3, 3), torch.nan)}
    if change == "anchors":
        return tensors | {"rpn.head.cls_logits.weight": torch.zeros(9, 256, 1, 1)}
    return tensors | {"backbone.layer3.2.conv1.weight": torch.zeros(1)}


@pytest.mark.parametrize(
    "change, words",
    [
        ("missing", "10 of the .* tensors are not there: roi_heads.reid_head.layer4.1.conv1.weight, .*"),
        ("shape", r"1 tensors have another shape: .*feat_res5.0.weight \(128, 7\) for \(128, 512\)"),
        ("nan", "1 tensors hold NaN or infinite numbers"),
        ("anchors", "has 9 anchors at a place; only the published 15 are known"),
        ("blocks", "no known ResNet; known are 18, 34, 50"),
    ],
)
def test_a_network_that_does_not_fit_is_refused_by_name(
    change: str, words: str, published: Callable[[str], Tensors], tmp_path: Path
) -> None:
    path = saved(tmp_path / "bad.pth", spoilt(published("seqnet"), change))
    with pytest.raises(ValueError, match=words) as error:
        checkpoint.load(path)
    assert "bad.pth" in str(error.value) and "\n" not in str(error.value)


def cut_short(path: Path) -> None:
    torch.save({"model": {"w": torch.zeros(9999)}}, path)
    path.write_bytes(path.read_bytes()[:9000])


def old_cut_short(path: Path) -> None:
    torch.save({"model": {"w": torch.zeros(9999)}}, path, _use_new_zipfile_serialization=False)
    path.write_bytes(path.read_bytes()[:9000])


def pictures(path: Path) -> None:
    with ZipFile(path, "w") as archive:
        archive.writestr("Image/SSM/s1.jpg", b"no picture")


FILES: dict[str, tuple[Callable[[Path], Any], str]] = {
    "cut short": (cut_short, "cannot be read .*: it is damaged or not ours"),
    "old and cut short": (old_cut_short, "cannot be read .*: it is damaged or not ours"),
    "empty": (lambda path: path.write_bytes(b""), r"cannot be read \(EOFError\)"),
    "a picture": (lambda path: Image.new("RGB", (9, 9)).save(path, "JPEG"), "it is no file of torch.save"),
    "a folder of pictures": (Path.mkdir, "is a folder: name the file in it"),
    "packed pictures": (pictures, "cannot be read"),
    "a data set": (
        lambda path: torch.save({"images": torch.zeros(2, 3, 4, 4), "labels": torch.zeros(2)}, path),
        "no network that psearch knows, its own or one of seqnet; it holds images, labels",
    ),
    "another network": (
        lambda path: torch.save(ResNetC4(depth=18).state_dict(), path),
        r"no network that psearch knows.*; it holds c2.0.bn1.bias, .* and \d+ more",
    ),
    "no tensors": (lambda path: torch.save({"a": 1}, path), "holds no network, but a"),
    "a list": (lambda path: torch.save([1, 2], path), "it holds a list"),
    "objects": (
        lambda path: torch.save({"model": {}, "cfg": argparse.Namespace(lr=1)}, path),
        r"holds a Python object \(argparse.Namespace\).*Write the weights alone",
    ),
}


@pytest.mark.parametrize("what", FILES)
def test_what_is_no_checkpoint_is_said_in_one_line(what: str, tmp_path: Path) -> None:
    make, words = FILES[what]
    make(tmp_path / "file.pth")
    with pytest.raises(ValueError, match=words) as error:
        checkpoint.load(tmp_path / "file.pth")
    assert "file.pth" in str(error.value) and "\n" not in str(error.value)
    assert "weights_only" not in str(error.value)
