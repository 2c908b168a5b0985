"""The criterion says what Faster R-CNN's papers say, on any number of people."""

import pytest
import torch
from torch.nn.functional import smooth_l1_loss

from psearch.boxes import decode, encode, match
from psearch.losses.criterion import LOSSES, SearchCriterion
from psearch.losses.regions import RegionSampler, RegionTargets, region_losses
from psearch.types import SearchOutput
from tests import toys


def test_deltas_decode_to_the_box_they_encode():
    torch.manual_seed(0)
    corner, size = torch.rand(20, 2) * 100, torch.rand(20, 2) * 50 + 1
    boxes = torch.cat([corner, corner + size], dim=1)
    anchors = boxes.roll(1, 0)
    torch.testing.assert_close(decode(encode(boxes, anchors), anchors), boxes, atol=1e-3, rtol=1e-4)


@pytest.mark.parametrize("people", [(2, 3), (0, 2), (0, 0), (1, 1)])
def test_every_loss_is_finite_and_reaches_the_network(people):
    network, criterion, batch = toys.network(), toys.criterion(), toys.batch(people=people)
    losses = criterion(network(batch.images, criterion.pick(batch)), batch)
    assert set(losses) == set(LOSSES)
    sum(losses.values()).backward()
    assert all(torch.isfinite(p.grad).all() for p in network.parameters() if p.grad is not None)
    assert network.backbone.stem[0].weight.grad.abs().sum() > 0
    criterion.after_step()


def test_the_sampler_takes_ground_truth_and_keeps_its_share():
    batch, sampler = (
        toys.batch(),
        RegionSampler(8, positive_fraction=0.5, fg_iou_thresh=0.5, bg_iou_thresh=0.5),
    )
    torch.manual_seed(0)
    far = torch.tensor([[80.0, 50, 90, 60]]).repeat(20, 1)
    for boxes, targets in zip(sampler.pick(batch)(lambda: [far, far]), batch.boxes, strict=True):
        assert len(boxes) == 8
        overlap = match(boxes, targets, torch.zeros(len(targets), dtype=torch.bool)).iou
        assert (overlap == 1).sum() == min(len(targets), 4)


def test_boxes_over_an_ignored_person_are_neither_person_nor_background():
    person = torch.tensor([[10.0, 10, 30, 60]])
    found = match(person + 1, person, torch.tensor([True]))
    assert found.iou.item() == 0 and found.on_ignored.item()
    assert not match(person + 200, person, torch.tensor([True])).on_ignored.item()


def test_region_losses_by_hand():
    boxes = torch.tensor([[0.0, 0, 10, 20], [50, 0, 60, 20]])
    true = torch.tensor([[1.0, 1, 12, 22], [0, 0, 1, 1]])
    logits = torch.tensor([[0.0, 2.0], [1.0, 0.0]])
    deltas = torch.zeros(2, 4)
    targets = RegionTargets(torch.tensor([True, False]), true, torch.tensor([0, -1]))
    losses = region_losses(SearchOutput(boxes=[boxes], box_logits=logits, box_deltas=deltas), targets)
    wanted = (torch.log1p(torch.exp(torch.tensor(-2.0))) + torch.log1p(torch.exp(torch.tensor(-1.0)))) / 2
    torch.testing.assert_close(losses["roi_class"], wanted)
    by_hand = smooth_l1_loss(deltas[0], encode(true[0], boxes[0]), reduction="sum") / 2
    torch.testing.assert_close(losses["roi_box"], by_hand)


def test_background_is_nobody_to_identity_and_memory():
    """Boxes far from everybody change neither the loss nor what is remembered."""
    network, batch = toys.network().eval(), toys.batch(people=(1, 1))
    far = torch.tensor([[0.0, 0.0, 4.0, 4.0]])
    losses, tables = [], []
    for more in (far[:0], far):
        criterion = toys.criterion()
        boxes = [torch.cat([own, more]) for own in batch.boxes]
        output = network(batch.images, lambda propose, boxes=boxes: boxes)
        losses.append(criterion(output, batch)["identity"])
        criterion.after_step()
        tables.append(criterion.memory.table)
    torch.testing.assert_close(losses[0], losses[1])
    torch.testing.assert_close(tables[0], tables[1])


def test_the_memory_learns_after_the_step_and_not_before():
    network, criterion, batch = toys.network(), toys.criterion(), toys.batch()
    criterion(network(batch.images, criterion.pick(batch)), batch)
    assert not criterion.memory.table.any()
    criterion.after_step()
    seen = torch.cat(batch.ids)
    lengths = criterion.memory.table.norm(dim=1)
    assert {i for i, length in enumerate(lengths) if length > 0} == set(seen[seen >= 0].tolist())


def test_the_memory_learns_from_every_batch_of_an_accumulated_step():
    """Two batches and one step leave what two batches with a step each would; a further step nothing."""
    network, batches = toys.network().eval(), [toys.batch(seed) for seed in (0, 1)]
    together, apart = toys.criterion(), toys.criterion()
    for batch in batches:
        output = network(batch.images, lambda propose, batch=batch: batch.boxes)
        for criterion in (together, apart):
            criterion(output, batch)
        apart.after_step()
    for _ in range(2):
        together.after_step()
        for name, buffer in together.memory.state_dict().items():
            assert torch.equal(buffer, apart.memory.state_dict()[name])
    seen = torch.cat([ids for batch in batches for ids in batch.ids])
    assert {i for i, row in enumerate(together.memory.table) if row.any()} == set(seen[seen >= 0].tolist())


@pytest.mark.parametrize("weights", [{"identiti": 1.0}, {"identity": -1.0}])
def test_unknown_or_negative_weights_are_refused(weights):
    known = toys.criterion()
    with pytest.raises(ValueError, match="weight"):
        SearchCriterion(
            known.memory,
            weights=weights,
            proposal_loss=known.proposal_loss,
            region_sampler=known.region_sampler,
        )
