"""SeqNet and NAE compute what their authors' programs compute: numbers that those programs gave for weights,
pictures and people made from seeds. `experiments/parity/compare.py` made them, and compares more."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from psearch.evaluation.describe import detections
from psearch.losses import regions
from psearch.losses.proposals import balanced
from psearch.models.oim import OIMNetwork
from psearch.runs import checkpoint
from psearch.studies.recipe import restored_task
from psearch.tasks.search import SearchTask
from psearch.types import Batch
from tests import seeded
from tests.published import IDENTITIES, tensors_of

PUBLIC = json.loads((Path(__file__).parent / "public.json").read_text())
NMS = {"seqnet": 0.5, "nae": 0.4}


@pytest.fixture(scope="module", params=["seqnet", "nae"])
def kind_and_task(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[str, SearchTask]]:
    """The task of a file as their program writes it; few proposals and sampled boxes, to be quick."""
    path = tmp_path_factory.mktemp("public") / "epoch_0.pth"
    torch.save({"model": tensors_of(request.param, depth=50), "epoch": 0}, path)
    task = restored_task(checkpoint.load(path), path)
    path.unlink()
    assert isinstance(task, SearchTask) and isinstance(task.network, OIMNetwork)
    proposals, sampler = task.network.proposals, task.criterion.region_sampler
    proposals.post_nms_top_n = proposals.post_nms_top_n_train = seeded.PROPOSALS
    task.criterion.region_sampler = replace(sampler, batch_size_per_image=seeded.SAMPLED)
    yield request.param, task


def batch_of(chosen: list[int], *, seed: int, count: int) -> Batch:
    pictures = [seeded.picture(index, seed=seed) for index in chosen]
    images = torch.zeros(len(pictures), 3, *(max(p.shape[i] for p in pictures) for i in (1, 2)))
    for row, picture in zip(images, pictures, strict=True):
        row[:, : picture.shape[1], : picture.shape[2]] = picture
    return Batch(
        images=images,
        sizes=torch.tensor([picture.shape[1:] for picture in pictures]),
        scales=torch.ones(len(pictures)),
        boxes=[seeded.people(index, seed=seed, count=count) for index in chosen],
        ids=[seeded.names(index, seed=seed, identities=IDENTITIES, count=count) for index in chosen],
        ignore=[torch.zeros(count, dtype=torch.bool) for _ in chosen],
        scenes=chosen,
    )


def test_inference_is_that_of_the_public_program(kind_and_task: tuple[str, SearchTask]) -> None:
    kind, task = kind_and_task
    network = task.network.eval()
    for index, public in enumerate(PUBLIC[kind]["inference"]):
        batch = batch_of([index], seed=1, count=2)
        with torch.inference_mode():
            output = network(batch.images)
            query = network(batch.images, lambda propose, boxes=batch.boxes: boxes).embeddings
        [found] = detections(output, batch, score_threshold=0.5, nms_threshold=NMS[kind], max_detections=300)
        ours: dict[str, Any] = {"boxes": found.boxes, "scores": found.scores}
        ours["embeddings"] = found.embeddings * found.scores[:, None]  # theirs are weighted with the score
        near = {name: seeded.digest(torch.from_numpy(rows)) for name, rows in ours.items()}
        near["query"] = seeded.digest(query)
        for name, numbers in public.items():
            assert near[name] == pytest.approx(numbers, rel=1e-4, abs=2e-3), (index, name)


def in_order(*given: Any, **options: Any) -> list[tuple[Tensor, Tensor]]:
    """What is drawn, in the order of the candidates, as torchvision has it."""
    rows = [torch.cat(pair).sort().values for pair in balanced(*given, **options)]
    return [(each, each[:0]) for each in rows]


def test_losses_of_a_step_are_those_of_the_public_program(
    kind_and_task: tuple[str, SearchTask], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the first candidates of each kind in place of random ones."""
    kind, task = kind_and_task
    monkeypatch.setattr(torch, "randperm", lambda n, **options: torch.arange(n))
    monkeypatch.setattr(regions, "balanced", in_order)
    task.train()
    with torch.no_grad():
        losses = task(batch_of([0, 1], seed=10, count=4))
    ours = {name: float(loss) * task.weights[name] for name, loss in losses.items()}
    assert ours == pytest.approx(PUBLIC[kind]["losses"], rel=1e-3)
