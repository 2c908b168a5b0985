"""The query-guided network: OIM without its parts, one set of weights for both pictures."""

from dataclasses import replace

import pytest
import torch

from psearch.losses.criterion import LOSSES, SearchCriterion
from psearch.losses.guided import QueryObjectness, similarity
from psearch.losses.identity import IdentityMemory
from psearch.losses.proposals import ProposalLoss
from psearch.losses.regions import RegionSampler
from psearch.models.query_guidance import masked_mean, valid_ratio
from psearch.types import QueryBatch, SearchOutput
from tests import toys

NONE = {"qsse": False, "qrpn": False, "qsim": False}


def criterion(network, *, batch_size_per_image=32):
    anchors = ProposalLoss(batch_size_per_image=batch_size_per_image)
    losses = {"qrpn": ("qrpn_object", QueryObjectness(anchors)), "qsim": ("similarity", similarity)}
    guided = dict(losses[part] for part in network.parts if part in losses)
    memory = IdentityMemory(5, size=16, queue=8)
    return SearchCriterion(
        memory, weights={}, proposal_loss=anchors, region_sampler=RegionSampler(8), guided=guided
    )


def same_bits(one: SearchOutput, other: SearchOutput) -> bool:
    parts = ("objectness", "anchor_deltas", "box_logits", "box_deltas", "embeddings")
    tensors = [(getattr(one, part), getattr(other, part)) for part in parts]
    return all(torch.equal(a, b) for a, b in tensors + list(zip(one.boxes, other.boxes, strict=True)))


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("with_query", [True, False])
def test_without_its_parts_it_is_oim_to_the_last_bit(training, with_query):
    oim, qeeps, batch = toys.network(), toys.qeeps(**NONE), toys.batch()
    assert list(oim.state_dict()) == list(qeeps.state_dict())
    assert all(torch.equal(a, b) for a, b in zip(oim.parameters(), qeeps.parameters(), strict=True))
    query = toys.query_batch(batch) if with_query else None
    answers = oim.train(training)(batch.images), qeeps.train(training)(batch.images, query=query)
    assert same_bits(*answers)
    assert qeeps.query_conditioned is None and answers[1].query_embeddings is None


@pytest.mark.parametrize("part", ["qsse", "qrpn", "qsim"])
def test_each_part_can_be_had_alone_and_says_its_own(part):
    network, batch = toys.qeeps(**NONE | {part: True}).eval(), toys.batch()
    output = network(batch.images, query=toys.query_batch(batch))
    assert network.parts == (part,) and network.query_conditioned is network
    assert (output.query_objectness is not None) == (part == "qrpn")
    assert (output.similarity is not None) == (part == "qsim")
    assert output.query_embeddings.shape == (2, 16)


def test_oim_weights_are_the_same_whichever_parts_there_are():
    """The parts draw their weights after those of OIM: an ablation starts from the same ones."""
    oim, qeeps = toys.network().state_dict(), toys.qeeps().state_dict()
    assert all(torch.equal(qeeps[key], value) for key, value in oim.items())


@pytest.mark.parametrize("parts", [{}, NONE | {"qrpn": True}])
def test_one_trunk_and_one_head_serve_both_pictures(parts):
    """Who is looked for in the picture that shows them has one embedding, on whichever side."""
    network, batch = toys.qeeps(**parts).eval(), toys.batch()
    query = toys.query_batch(batch)
    own = [box[None] for box in query.boxes]
    output = network(batch.images, lambda propose: own, query=query)
    torch.testing.assert_close(output.embeddings, output.query_embeddings)
    alone = network(batch.images, lambda propose: own)
    torch.testing.assert_close(alone.embeddings, output.embeddings)


def test_another_query_gives_other_scores_boxes_and_embeddings():
    network, batch = toys.qeeps().eval(), toys.batch()
    one = network(batch.images, lambda propose: batch.boxes, query=toys.query_batch(batch))
    other = network(
        batch.images, lambda propose: batch.boxes, query=toys.query_batch(batch, toys.batch(seed=5))
    )
    for part in ("embeddings", "query_objectness", "similarity", "objectness"):
        assert not torch.equal(getattr(one, part), getattr(other, part)), part


def test_pictures_of_query_and_scene_may_differ_in_size():
    network, batch = toys.qeeps().eval(), toys.batch()
    query = toys.query_batch(batch)
    query = replace(query, images=query.images[..., :48, :64])
    assert network(batch.images, query=query).similarity.isfinite().all()


def test_scenes_go_through_the_trunk_before_queries():
    """The order in which BatchNorm's running means see the two."""
    network, batch, widths = toys.qeeps(), toys.batch(), []
    network.backbone.stem.register_forward_pre_hook(lambda stem, given: widths.append(given[0].shape[-1]))
    query = toys.query_batch(batch)
    network(batch.images, query=replace(query, images=query.images[..., :48, :64]))
    assert widths == [96, 64]


def test_padding_is_no_part_of_the_global_context():
    maps = torch.rand(2, 4, 6, 8) + 1
    images = torch.zeros(2, 3, 12, 16)
    images[0, :, :6, :12], images[1] = 1.0, 1.0
    share = valid_ratio(images)
    assert share.tolist() == [[0.5, 0.75], [1.0, 1.0]]
    torch.testing.assert_close(masked_mean(maps, share)[0], maps[0, :, :3, :6].mean(dim=(1, 2)))
    torch.testing.assert_close(masked_mean(maps, share)[1], maps[1].mean(dim=(1, 2)))
    torch.testing.assert_close(valid_ratio(torch.zeros(1, 3, 4, 4)), torch.ones(1, 2))


def test_gradients_reach_every_part_and_both_pictures():
    network = toys.qeeps()
    batch = toys.batch()
    batch = replace(batch, query=toys.query_batch(batch, toys.batch(seed=3)))
    batch.images.requires_grad_()
    batch.query.images.requires_grad_()
    said = criterion(network)
    losses = said(network(batch.images, said.pick(batch), query=batch.query), batch)
    assert set(losses) == {*LOSSES, "qrpn_object", "similarity"}
    sum(losses.values()).backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all(), name
    for part in ("qsse.c2.excite", "qsse.c4.excite", "qrpn.excite", "qrpn.objectness", "qsim.similarity"):
        assert network.get_submodule(part).weight.grad.abs().sum() > 0, part
    assert batch.images.grad.abs().sum() > 0 and batch.query.images.grad.abs().sum() > 0


def test_the_memory_remembers_the_queries_too():
    network, batch = toys.qeeps(), toys.batch(identities=4)
    shown = toys.query_batch(batch, toys.batch(seed=3))
    batch = replace(batch, query=replace(shown, ids=torch.tensor([4, 4])))
    said = criterion(network)
    said(network(batch.images, said.pick(batch), query=batch.query), batch)
    said.after_step()
    assert 4 not in torch.cat(batch.ids) and said.memory.table[4].norm() == pytest.approx(1)


def painted(batch, colours=(1.5, -1.5)):
    """Two people a scene, each of a colour of their own; identity 0 and 1."""
    images = torch.randn_like(batch.images) * 0.1
    for image, boxes in zip(images, batch.boxes, strict=True):
        for (x1, y1, x2, y2), colour in zip(boxes.int().tolist(), colours, strict=True):
            image[:, y1:y2, x1:x2] += torch.tensor([colour, 1.0, -colour])[:, None, None]
    return replace(batch, images=images)


def toy_scenes(seed):
    """Four scenes of two people each, side by side, and who is looked for in each."""
    generator = torch.Generator().manual_seed(seed)
    batch = toys.batch(people=(2, 2, 2, 2))
    left = torch.rand(4, 2, generator=generator) * torch.tensor([12.0, 20.0])
    first = torch.cat([left, left + torch.tensor([16.0, 34.0])], dim=1)
    boxes = [torch.stack([box, box + torch.tensor([45.0, 0, 45, 0])]) for box in first]
    swapped = torch.rand(4, generator=generator) < 0.5
    boxes = [own.flip(0) if swap else own for own, swap in zip(boxes, swapped, strict=True)]
    scene = painted(replace(batch, boxes=boxes, ids=[torch.arange(2)] * 4))
    order = torch.tensor([1, 2, 3, 0])  # each is looked for in the scene after the one that shows it
    wanted = torch.randint(0, 2, (4,), generator=generator)
    places = torch.stack([boxes[at][one] for at, one in zip(order, wanted, strict=True)])
    query = QueryBatch(scene.images[order], scene.sizes, scene.scales, places, wanted)
    return replace(scene, query=query)


def test_the_second_objectness_prefers_the_person_looked_for_after_training():
    network = toys.qeeps(qsse=False, qsim=False)
    said = criterion(network, batch_size_per_image=64)
    descent = torch.optim.AdamW(network.parameters(), lr=0.003)
    for step in range(160):
        torch.manual_seed(step)
        batch = toy_scenes(step)
        losses = said(network(batch.images, said.pick(batch), query=batch.query), batch)
        (losses["qrpn_object"] + losses["rpn_object"] + losses["rpn_box"]).backward()
        descent.step()
        descent.zero_grad()
    batch = toy_scenes(1000)
    with torch.no_grad():
        output = network.eval()(batch.images, query=batch.query)
    for row, (boxes, wanted) in enumerate(zip(batch.boxes, batch.query.ids, strict=True)):
        centres = (output.anchors[:, :2] + output.anchors[:, 2:]) / 2
        inside = [((centres > box[:2]) & (centres < box[2:])).all(dim=1) for box in boxes]
        best = [output.query_objectness[row][here].max() for here in inside]
        assert best[wanted] > best[1 - wanted] + 1
        first = output.proposals[row][0]
        middle = (first[:2] + first[2:]) / 2
        assert ((middle > boxes[wanted][:2]) & (middle < boxes[wanted][2:])).all()
