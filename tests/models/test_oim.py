"""One forward serves training, search, queries and teachers."""

from urllib.error import URLError

import pytest
import torch
from torchvision.ops import roi_align

from psearch.models.regions import align
from psearch.models.resnet import ResNetC4
from tests import toys


def test_one_sample_per_bin_equals_torchvision():
    torch.manual_seed(0)
    features = torch.randn(2, 5, 16, 24, requires_grad=True)
    boxes = [torch.tensor([[-3.0, 5, 40, 100], [10, 10, 60, 120]]), torch.tensor([[0.0, 0, 192, 128]])]
    ours = align(features, boxes, size=(8, 4), stride=8, samples=1)
    theirs = roi_align(features, boxes, (8, 4), 1 / 8, 1, aligned=True)
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-5)
    weights = torch.randn_like(ours)
    gradients = [torch.autograd.grad((cut * weights).sum(), features)[0] for cut in (ours, theirs)]
    torch.testing.assert_close(*gradients, atol=1e-4, rtol=1e-4)


def test_proposals_are_computed_only_when_asked_for():
    network, batch = toys.network().eval(), toys.batch()
    own = network(batch.images)
    assert own.proposals is not None and [len(b) for b in own.boxes] == [len(p) for p in own.proposals]
    answered = network(batch.images, lambda propose: batch.boxes)
    assert answered.proposals is None
    assert answered.embeddings.shape == (sum(len(b) for b in batch.boxes), network.embedding_size)


def test_a_box_has_one_embedding_whoever_asks():
    """A query described alone and the same box described among a gallery's proposals are the same person."""
    network, batch = toys.network().eval(), toys.batch()
    with torch.inference_mode():
        gallery = network(batch.images)
        query_box = gallery.boxes[0][3:4]
        query = network(batch.images, lambda propose: [query_box, query_box[:0]])
    torch.testing.assert_close(query.embeddings[0], gallery.embeddings[3])


def test_embeddings_have_unit_length_and_rows_follow_boxes():
    network, batch = toys.network().eval(), toys.batch()
    output = network(batch.images)
    rows = sum(len(boxes) for boxes in output.boxes)
    assert output.box_logits.shape == (rows, 2) and output.box_deltas.shape == (rows, 4)
    torch.testing.assert_close(output.embeddings.norm(dim=1), torch.ones(rows))


def test_proposals_stay_in_the_picture_and_keep_their_budget():
    network, batch = toys.network().eval(), toys.batch()
    for boxes in network(batch.images).proposals:
        assert 0 < len(boxes) <= 12
        assert (boxes[:, :2] >= 0).all() and (boxes[:, 2] <= 96).all() and (boxes[:, 3] <= 64).all()


def test_no_box_at_all_is_no_error():
    network, batch = toys.network().eval(), toys.batch()
    output = network(batch.images, lambda propose: [torch.zeros(0, 4)] * 2)
    assert output.embeddings.shape == (0, network.embedding_size)


@pytest.mark.parametrize(
    "depth, width, channels", [(18, 1.0, 256), (18, 0.5, 128), (34, 1.0, 256), (50, 1.0, 1024)]
)
def test_resnets_publish_their_true_taps(depth, width, channels):
    backbone = ResNetC4(depth=depth, width=width).eval()
    with torch.inference_mode():
        maps = backbone(torch.zeros(1, 3, 64, 96))
        regions = backbone.head(torch.zeros(1, channels, *backbone.region_size))
    for name, tap in backbone.taps.items():
        assert maps[name].shape == (1, tap.channels, 64 // tap.stride, 96 // tap.stride)
    assert backbone.taps["c4"].channels == channels
    assert regions.shape[1:] == (backbone.region_channels, *backbone.region_map)


def test_frozen_norm_without_weights_is_refused():
    with pytest.raises(ValueError, match="frozen_norm"):
        ResNetC4(depth=18, frozen_norm=True)


def test_weights_that_cannot_be_downloaded_say_where_to_put_them(monkeypatch):
    def offline(*_, **__):
        raise URLError("no route to host")

    monkeypatch.setattr("torchvision.models._api.load_state_dict_from_url", offline)
    with pytest.raises(ValueError, match="resnet18 cannot be downloaded .*no route to host"):
        ResNetC4(depth=18, weights="imagenet_v1").begin()
