"""SeqNet and NAE: two stages and a norm-aware head behind the one forward that everything else uses."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor
from torchvision.models.detection._utils import BoxCoder
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.image_list import ImageList
from torchvision.models.detection.rpn import RegionProposalNetwork
from torchvision.ops import roi_align

from psearch.boxes import decode, match
from psearch.evaluation.describe import postprocess
from psearch.losses.criterion import SearchCriterion
from psearch.losses.identity import IdentityMemory
from psearch.losses.proposals import ProposalLoss
from psearch.losses.regions import RegionSampler, RegionTargets, region_losses
from psearch.models.compact import Compact
from psearch.models.norm_aware import NormAwareHead
from psearch.models.oim import OIMNetwork
from psearch.models.proposals import ProposalNetwork
from psearch.models.regions import align
from psearch.models.seqnet import SeqNetwork
from psearch.types import Boxes, SearchOutput, StagedPick
from tests import toys

CODE = (10.0, 10.0, 5.0, 5.0)


def network(kind: type[OIMNetwork] = SeqNetwork, **options: Any) -> Any:
    torch.manual_seed(0)
    return kind(
        Compact(widths=[16, 16, 16, 16, 32], strips=2),
        anchor_sizes=[16, 24],
        aspects=[1.0, 2.0],
        proposals={"pre_nms_top_n": 60, "post_nms_top_n": 12, "nms_thresh": 0.6},
        embedding=16,
        **options,
    )


nae = partial(network, OIMNetwork, head=NormAwareHead, box_code=CODE, geometry="torchvision")


def criterion(student: OIMNetwork) -> SearchCriterion:
    return SearchCriterion(
        IdentityMemory(5, size=16, queue=8),
        weights={},
        proposal_loss=ProposalLoss(batch_size_per_image=32),
        region_sampler=RegionSampler(8),
        stages=student.stages,
        box_code=student.box_code,
    )


def test_the_length_of_the_embedding_is_the_logit_of_a_person() -> None:
    student, batch = nae().eval(), toys.batch()
    output = student(batch.images)
    cut = student._cut(output.features["c4"], output.boxes)
    regions = student.backbone.head(cut)
    raw = torch.cat(
        [
            student.regions.projectors[name](maps.unflatten(2, (2, -1)).amax(dim=(3, 4)).flatten(1))
            for name, maps in (("cut", cut), ("regions", regions))
        ],
        dim=1,
    )
    torch.testing.assert_close(output.embeddings, raw / raw.norm(dim=1, keepdim=True))
    logit = student.regions.rescaler(raw.norm(dim=1, keepdim=True))
    torch.testing.assert_close(output.box_logits.softmax(dim=1)[:, 1:], logit.sigmoid())


def test_a_box_code_scales_the_loss_and_not_the_deltas() -> None:
    torch.manual_seed(0)
    boxes, true = (
        torch.tensor([[0.0, 0, 10, 20], [5, 5, 25, 45]]),
        torch.tensor([[1.0, 1, 12, 22], [4, 4, 20, 50]]),
    )
    targets = RegionTargets(torch.tensor([True, True]), true, torch.tensor([0, 1]))
    output = SearchOutput(boxes=[boxes], box_logits=torch.zeros(2, 2), box_deltas=torch.zeros(2, 4))
    plain, coded = region_losses(output, targets), region_losses(output, targets, box_code=CODE)
    assert coded["roi_box"] > 10 * plain["roi_box"] and coded["roi_class"] == plain["roi_class"]
    student, other = network(OIMNetwork), network(OIMNetwork, box_code=CODE)
    given = [torch.tensor([[10.0, 10, 30, 50]])] * 2
    ours, theirs = (
        each.eval()(toys.batch().images, lambda propose: given).box_deltas for each in (student, other)
    )
    torch.testing.assert_close(ours, theirs * torch.tensor(CODE))


def test_both_stages_of_training_are_sampled_and_every_parameter_learns() -> None:
    student, batch = network(), toys.batch()
    losses = criterion(student)
    seen: list[Boxes] = []
    sampler = losses.pick(batch)
    assert isinstance(sampler, StagedPick)

    def watched(propose: Any) -> Boxes:
        seen.append(propose())
        return sampler.last(lambda: seen[-1])

    output = student(batch.images, StagedPick(first=watched, last=watched))
    assert len(seen) == 2 and [len(each) for each in output.boxes] == [8, 8]
    [first] = output.stages
    moved = decode(first.box_deltas, torch.cat(first.boxes)).split([8, 8])
    for boxes, proposed in zip(moved, seen[1], strict=True):
        torch.testing.assert_close(boxes.clamp(min=0), proposed.clamp(min=0), atol=100, rtol=0)
        assert len(boxes) == len(proposed) and not proposed.requires_grad
    found = losses(output, batch)
    assert {"stage1_class", "stage1_box", "roi_class", "roi_box"} <= set(found)
    sum(found.values()).backward()
    for name, parameter in student.named_parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all(), name


def test_given_boxes_go_to_the_last_stage_alone() -> None:
    """A query's and a teacher's boxes are described as they are, and never become proposals."""
    student, batch = network().eval(), toys.batch()
    given = student(batch.images, lambda propose: batch.boxes)
    assert given.stages == () and given.scores is None and given.proposals is None
    both = student(
        batch.images, lambda propose: [torch.cat(p) for p in zip(propose(), batch.boxes, strict=True)]
    )
    alone = student(batch.images)
    for proposed, described, boxes in zip(alone.boxes, both.boxes, batch.boxes, strict=True):
        assert torch.equal(described, torch.cat([proposed, boxes]))
    rows = torch.cat([torch.arange(len(b)) >= len(p) for b, p in zip(both.boxes, alone.boxes, strict=True)])
    torch.testing.assert_close(both.embeddings[rows], given.embeddings)
    torch.testing.assert_close(both.scores[rows], given.box_logits.softmax(dim=1)[:, 1])


def test_a_detection_has_the_score_of_the_first_stage() -> None:
    student, batch = network(score_threshold=0.0, nms_threshold=1.0).eval(), toys.batch()
    output = student(batch.images)
    [first] = output.stages
    counts = [len(each) for each in first.boxes]
    scores = first.box_logits.softmax(dim=1)[:, 1].split(counts)
    pairs = zip(scores, output.boxes, strict=True)
    ranked = torch.cat([each.sort(descending=True).values[: len(boxes)] for each, boxes in pairs])
    torch.testing.assert_close(output.scores, ranked)
    assert student.eval() and network(first_score=False).eval()(batch.images).scores is None


def test_what_the_first_stage_does_not_detect_is_not_described() -> None:
    images = toys.batch().images
    strict = network(score_threshold=1.0).eval()(images)
    assert [len(each) for each in strict.boxes] == [0, 0] and strict.embeddings.shape == (0, 16)
    assert sum(map(len, network(nms_threshold=0.0, score_threshold=0.0).eval()(images).boxes)) <= 24
    few = network(max_detections=2, score_threshold=0.0, nms_threshold=1.0).eval()
    assert few.budget == 2 and [len(each) for each in few(images).boxes] == [2, 2]


def test_anchors_are_those_of_torchvision() -> None:
    sizes, aspects = (32.0, 64.0, 128.0), (0.5, 1.0, 2.0)
    options: dict[str, Any] = {"pre_nms_top_n": 9, "post_nms_top_n": 9, "stride": 16}
    ours = ProposalNetwork(4, sizes=sizes, aspects=aspects, anchored_at="corner", **options).anchors(3, 5)
    generator = AnchorGenerator((sizes,), (aspects,))
    [theirs] = generator(ImageList(torch.zeros(1, 3, 48, 80), [(48, 80)]), [torch.zeros(1, 4, 3, 5)])
    assert torch.equal(ours, theirs)
    with pytest.raises(ValueError, match="anchored_at=edge: choose centre or corner"):
        ProposalNetwork(4, sizes=sizes, aspects=aspects, anchored_at="edge", **options)


def test_anchors_are_labelled_as_torchvision_labels_them() -> None:
    """Also where the best anchor of one person belongs to a neighbour, and where the best is a poor one."""
    torch.manual_seed(2)
    corner = torch.rand(40, 2) * 150
    boxes = torch.cat([corner, corner + torch.rand(40, 2) * 60 + 6], dim=1)
    anchors = ProposalNetwork(
        4, stride=16, sizes=(16.0, 32.0), aspects=(1.0, 2.0), pre_nms_top_n=9, post_nms_top_n=9
    ).anchors(12, 12)
    rpn = RegionProposalNetwork(torch.nn.Identity(), torch.nn.Identity(), 0.7, 0.3, 256, 0.5, {}, {}, 0.7)
    [labels], [matched] = rpn.assign_targets_to_anchors([anchors], [{"boxes": boxes}])
    found = match(anchors, boxes, torch.zeros(40, dtype=torch.bool))
    person, background = ProposalLoss(shared_best=True).foreground_background(found, anchors, boxes)
    assert torch.equal(person, labels == 1) and torch.equal(background, labels == 0)
    assert torch.equal(boxes[found.target[person]], matched[person])
    own, _ = ProposalLoss().foreground_background(found, anchors, boxes)
    assert not torch.equal(own, person)


@pytest.mark.parametrize("samples", [1, 2])
def test_regions_without_half_pixel_correction(samples: int) -> None:
    torch.manual_seed(0)
    features = torch.randn(1, 5, 16, 24)
    boxes = [torch.tensor([[12.0, 5, 40, 100], [10, 10, 60, 110], [40, 40, 44, 43]])]
    ours = align(features, boxes, size=(8, 4), stride=8, samples=samples, aligned=False)
    torch.testing.assert_close(
        ours, roi_align(features, boxes, (8, 4), 1 / 8, samples, aligned=False), atol=1e-5, rtol=0
    )


def test_padding_changes_nothing_but_the_maps_that_hold_it() -> None:
    """A picture is padded to multiples of 32 by the network itself, its proposals end where it ends, and the
    maps it publishes are as large as another network's."""
    student = nae().eval()
    images = toys.batch().images[:1, :, :48, :80]
    alone = student(images)
    wider = torch.zeros(1, 3, 64, 96)
    wider[..., :48, :80] = images
    again = student(wider)
    torch.testing.assert_close(alone.boxes[0], again.boxes[0])
    torch.testing.assert_close(alone.embeddings, again.embeddings)
    assert alone.boxes[0][:, 2].max() <= 80 and alone.boxes[0][:, 3].max() <= 48
    assert alone.features["c4"].shape[2:] == (6, 10) and again.features["c4"].shape[2:] == (8, 12)


def test_words_that_make_no_sense_are_refused() -> None:
    for options, words in (
        ({"geometry": "round"}, "geometry=round: choose centred or torchvision"),
        ({"box_code": (1.0, 0.0, 1.0, 1.0)}, "box_code"),
        ({"score_threshold": 1.5}, "score_threshold=1.5"),
    ):
        with pytest.raises(ValueError, match=words):
            network(**options)


def test_rows_of_one_class_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """Deltas are class-specific: background's have no gradient."""
    student = nae()
    output = student(toys.batch().images, lambda propose: toys.batch().boxes)
    output.box_deltas.square().sum().backward()
    gradient: Tensor = student.regions.boxes.deltas[1].bias.grad
    assert (gradient[:4] == 0).all() and (gradient[4:] != 0).all()


def test_a_detection_needs_a_hundredth_of_a_pixel() -> None:
    """What clipping leaves of a box outside of the picture is none."""
    boxes = torch.tensor([[0.0, 10, 20, 10.005], [0.0, 10, 20, 10.1]])
    rows = postprocess(boxes, torch.ones(2), score_threshold=0.5, nms_threshold=0.5, max_detections=9)
    assert rows.tolist() == [1]


def test_decoding_rounds_as_torchvision_does() -> None:
    torch.manual_seed(0)
    corner = torch.rand(500, 2) * 900
    boxes = torch.cat([corner, corner + torch.rand(500, 2) * 300], dim=1)
    deltas = torch.randn(500, 4)
    theirs = BoxCoder((1.0, 1.0, 1.0, 1.0)).decode_single(deltas, boxes)
    assert torch.equal(decode(deltas, boxes), theirs)
