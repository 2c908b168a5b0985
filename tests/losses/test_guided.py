"""The losses of a search that knows whom it looks for: only that person counts, others are the hard cases."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from psearch.boxes import RegionTargets
from psearch.losses.guided import QueryObjectness, similarity
from psearch.losses.proposals import ProposalLoss
from psearch.types import Batch, SearchOutput
from tests import toys

WANTED, OTHER, FAR = [0.0, 0.0, 10.0, 20.0], [40.0, 0.0, 50.0, 20.0], [80.0, 40.0, 90.0, 60.0]
UNSURE, SURE = math.log(2), 100.0
"""What a logit of 0 costs, and one of 100 that is wrong."""


def scene(*, images: int = 1) -> Batch:
    """Persons 0 and 1 in every image; person 0 is looked for."""
    batch = replace(
        toys.batch(people=(2,) * images),
        boxes=[torch.tensor([WANTED, OTHER])] * images,
        ids=[torch.tensor([0, 1])] * images,
    )
    return replace(batch, query=toys.query_batch(batch))


def objectness(anchors: list[list[float]], logits: list[float], **sizes: float) -> float:
    output = SearchOutput(anchors=torch.tensor(anchors), query_objectness=torch.tensor([logits]))
    others = {"others": sizes.pop("others")} if "others" in sizes else {}
    loss = QueryObjectness(ProposalLoss(**sizes), **others)  # type: ignore[arg-type]
    nobody = RegionTargets(torch.zeros(0, dtype=torch.bool), torch.zeros(0, 4), torch.zeros(0).long())
    return loss(output, scene(), nobody).item()


def test_only_the_person_looked_for_is_a_positive_anchor() -> None:
    """All three are taken for them: two are wrong."""
    assert objectness([WANTED, OTHER, FAR], [SURE] * 3) == pytest.approx(SURE * 2 / 3)
    assert objectness([WANTED, OTHER, FAR], [SURE, -SURE, -SURE]) == pytest.approx(0)
    assert objectness([WANTED, OTHER, FAR], [-SURE] * 3) == pytest.approx(SURE / 3)


def test_a_share_of_the_sample_is_kept_for_other_people() -> None:
    """Of eight anchors a quarter is kept for the ten that stand for somebody else, of whom all are wrong by
    100; the wanted one and five of background are unsure."""
    anchors, logits = [WANTED] + [OTHER] * 10 + [FAR] * 10, [0.0] + [SURE] * 10 + [0.0] * 10
    loss = objectness(anchors, logits, batch_size_per_image=8, others=0.25)
    assert loss == pytest.approx((2 * SURE + 6 * UNSURE) / 8)


def test_an_anchor_between_the_thresholds_costs_nothing() -> None:
    """The wanted person's lower half overlaps by 0.5: neither them nor background."""
    half = [0.0, 10.0, 10.0, 20.0]
    assert objectness([WANTED, half, FAR], [0.0, SURE, 0.0]) == pytest.approx(UNSURE)


def test_similarity_is_right_for_the_person_looked_for_only() -> None:
    """Two images of two boxes. Their rows: the wanted; somebody else; background, whose id means nothing; the
    wanted. Each that is wrong costs 100, and all are counted."""
    boxes = [torch.tensor([WANTED, OTHER]), torch.tensor([FAR, WANTED])]
    person, ids = torch.tensor([True, True, False, True]), torch.tensor([0, 1, 0, 0])
    targets = RegionTargets(person, torch.cat(boxes), ids)
    for logits, wrong in (
        ([SURE, -SURE, -SURE, SURE], 0),
        ([SURE, SURE, -SURE, SURE], 1),
        ([SURE, -SURE, SURE, SURE], 1),
        ([-SURE, SURE, SURE, -SURE], 4),
    ):
        output = SearchOutput(boxes=boxes, similarity=torch.tensor(logits))
        loss = similarity(output, scene(images=2), targets)
        assert loss.item() == pytest.approx(SURE * wrong / 4)


def test_each_image_has_its_own_person_to_look_for() -> None:
    """Person 0 is wanted in the first image, person 1 in the second, where 0 is somebody else."""
    batch = scene(images=2)
    assert batch.query is not None
    batch = replace(batch, query=replace(batch.query, ids=torch.tensor([0, 1])))
    boxes = [torch.tensor([WANTED]), torch.tensor([WANTED, OTHER])]
    targets = RegionTargets(torch.tensor([True] * 3), torch.cat(boxes), torch.tensor([0, 0, 1]))
    output = SearchOutput(boxes=boxes, similarity=torch.tensor([SURE, -SURE, SURE]))
    assert similarity(output, batch, targets).item() == pytest.approx(0)
