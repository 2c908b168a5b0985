"""What a teacher says of the training people, and of whom it may not say anything."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from psearch.studies import teachers
from psearch.studies.identity_features import describe_people, identity_features
from psearch.types import Benchmark, Pick, Scene, SearchOutput, Split

CPU = torch.device("cpu")
PAINTED = np.array([[2, 4, 6, 12], [10, 4, 14, 12]], np.float32)


def picture(index: int) -> np.ndarray:
    """Black, with a white person at the left box and a grey one at the right."""
    pixels = np.zeros((16, 32, 3), np.uint8)
    for (x1, y1, x2, y2), colour in zip(PAINTED.astype(int), (255, 128), strict=True):
        pixels[y1:y2, x1:x2] = colour
    return pixels


def benchmark(ids: tuple[int, int] = (0, 1), ignore: tuple[bool, bool] = (False, False), **facts: str) -> Any:
    scene = Scene("0", 16, 32, PAINTED, np.array(ids), np.array(ignore))
    split = Split("train", [scene], partial(picture))
    known = {"fingerprint": "data", "train_fingerprint": "data"} | facts
    return Benchmark("toy", identities=2, train=split, val=None, test=split, **known)


class Onlooker(nn.Module):
    """Embeds a box as (brightness, 0) in the left half of the picture, as (0, brightness) in the right."""

    def forward(self, images: Tensor, pick: Pick) -> SearchOutput:
        boxes, rows = pick(lambda: []), []
        for image, own in zip(images, boxes, strict=True):
            for x1, y1, x2, y2 in own.int().tolist():
                bright = float(image[:, y1:y2, x1:x2].mean())
                rows.append([bright, 0.0] if x2 <= 16 else [0.0, bright])
        return SearchOutput(boxes=boxes, embeddings=torch.tensor(rows))


def test_an_embedding_is_the_mean_of_a_person_and_their_mirror_image() -> None:
    """Left in the picture and right in the mirror, equally bright: half-way between both axes. Were the
    picture or the boxes not mirrored, one of the two would be dark or on the same side."""
    people = describe_people(Onlooker(), benchmark(), teacher="net", device=CPU)
    torch.testing.assert_close(people.embeddings, torch.full((2, 2), 0.5**0.5))
    assert people.ids.tolist() == [0, 1] and (people.benchmark, people.teacher) == ("data", "net")


@pytest.mark.parametrize("facts", [{"ids": (-1, 1)}, {"ignore": (True, False)}])
def test_only_people_with_a_name_who_are_not_to_be_ignored_are_described(facts: dict[str, Any]) -> None:
    people = describe_people(Onlooker(), benchmark(**facts), teacher="net", device=CPU)
    assert people.ids.tolist() == [1] and people.embeddings.shape == (1, 2)


def test_features_are_kept_for_the_network_and_the_data_they_are_of_and_made_again_for_others(
    tmp_path: Path,
) -> None:
    """nn.Identity could describe nobody: what it is said to give was read from the file."""
    made = identity_features(Onlooker(), benchmark(), directory=tmp_path, teacher="net", device=CPU)
    kept = identity_features(nn.Identity(), benchmark(), directory=tmp_path, teacher="net", device=CPU)
    assert torch.equal(made.embeddings, kept.embeddings) and torch.equal(made.ids, kept.ids)
    swapped = benchmark(ids=(1, 0))
    again = identity_features(Onlooker(), swapped, directory=tmp_path, teacher="other", device=CPU)
    assert again.teacher == "other" and again.ids.tolist() == [1, 0]
    more = benchmark(train_fingerprint="more")
    other = identity_features(Onlooker(), more, directory=tmp_path, teacher="net", device=CPU)
    assert other.benchmark == "more" and len(list(tmp_path.glob("people-*.npz"))) == 2


@dataclass
class Trained:
    """The part of a task that a teacher is made of."""

    network: nn.Module
    prototypes: Tensor
    provides = frozenset({"embeddings"})

    def to(self, device: torch.device) -> Trained:
        return self


def test_prototypes_of_people_from_other_data_are_not_handed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """Row 0 of the table is identity 0 of the data it was trained on, and somebody else in other data."""
    table = torch.eye(2)
    state = {"facts": {"data": "data"}}
    monkeypatch.setattr(teachers, "checkpoint", SimpleNamespace(load=lambda path: state))
    monkeypatch.setattr(teachers, "restored_task", lambda *_: Trained(nn.Identity(), table))
    run = teachers.TeacherRun("toy", Path("last.pt"))
    assert run.load(benchmark(), CPU).prototypes is table
    assert run.load(benchmark(train_fingerprint="other"), CPU).prototypes is None
