"""OSNet as torchreid computes it, crops as it sees them, and embeddings centred and projected."""

from __future__ import annotations

import sys
from types import ModuleType

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from psearch.models.crops import CropNetwork
from psearch.models.osnet import CHANNELS, OSNet, torchreid_network
from psearch.models.projection import Projected
from tests import toys

TORCHREID = {
    "osnet_x0_25": {136: 0.226229, 278: 0.189833, 326: 0.191603, 349: 0.215428},
    "osnet_x0_5": {29: 0.238397, 308: 0.168482, 339: 0.202126, 342: 0.233203},
    "osnet_x0_75": {349: 0.169626, 366: 0.192253, 370: 0.180218, 427: 0.20136},
    "osnet_x1_0": {16: 0.237616, 226: 0.239325, 278: 0.20834, 429: 0.253728},
}
"""The four largest of 512 features, at unit length, that torchreid 0.2.5 computes from `filled` weights."""


def filled(network: nn.Module) -> nn.Module:
    """Weights that are a function of their names' order alone."""
    state = network.state_dict()
    for number, (name, value) in enumerate(sorted(state.items(), key=lambda item: item[0])):
        generator = torch.Generator().manual_seed(number)
        if value.dim() > 1:
            state[name] = torch.randn(value.shape, generator=generator) * value[0].numel() ** -0.5
        elif value.dim() == 1:
            scale = name.endswith(("running_var", "weight"))
            noise = torch.rand if scale else torch.randn
            state[name] = noise(value.shape, generator=generator) * (1 if scale else 0.1) + 0.5 * scale
    network.load_state_dict(state)
    return network.eval()


@pytest.mark.parametrize("name", CHANNELS)
def test_features_are_those_of_torchreid(name: str) -> None:
    crops = torch.randn(2, 3, 256, 128, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        features = normalize(filled(OSNet(name))(crops)[0], dim=0)
    expected = TORCHREID[name]
    assert sorted(features.topk(4).indices.tolist()) == list(expected)
    torch.testing.assert_close(
        features[list(expected)], torch.tensor(list(expected.values())), rtol=0, atol=1e-5
    )


def test_another_network_of_the_zoo_needs_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torchreid.reid.models", None)
    with pytest.raises(
        ValueError, match="model=hacnn: choose osnet_x0_25, .*or one that the package torchreid"
    ):
        torchreid_network("hacnn", (64, 32))

    def build_model(name: str, num_classes: int, pretrained: bool) -> nn.Module:
        network: nn.Module = nn.Sequential()
        network.feature_dim, network.classifier = 7, nn.Linear(2, 2)  # type: ignore[assignment]
        return network

    package = ModuleType("torchreid.reid.models")
    package.build_model = build_model  # type: ignore[attr-defined]
    for name in ("torchreid", "torchreid.reid"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    monkeypatch.setitem(sys.modules, "torchreid.reid.models", package)
    assert torchreid_network("hacnn", (64, 32)).embedding_size == 7


class Mean(nn.Module):
    """Crops -> the mean of each channel in the upper and the lower half."""

    def forward(self, crops: Tensor) -> Tensor:
        return nn.functional.adaptive_avg_pool2d(crops, (2, 1))


def test_a_crop_is_what_lies_in_the_box() -> None:
    batch = toys.batch()
    network = CropNetwork(Mean(), embedding=6, crop=(8, 4), mean=(0.5,) * 3, std=(0.5,) * 3)
    box = torch.tensor([8.0, 16.0, 24.0, 48.0])
    images = torch.zeros_like(batch.images)
    images[0, :, 16:32, 8:24] = 1.0
    images[0, :, 32:48, 8:24] = -1.0
    output = network(images, lambda propose: [box[None], box[None, :][:0]])
    up, down = network.pixels(torch.tensor([1.0, -1.0])[:, None, None, None].expand(2, 3, 1, 1)).flatten(1)
    expected = normalize(torch.stack([up, down], dim=1).flatten(), dim=0)
    assert output.embeddings is not None
    torch.testing.assert_close(output.embeddings[0], expected, atol=0.03, rtol=0)
    nobody = network(images, lambda propose: propose())
    assert nobody.embeddings is not None and nobody.embeddings.shape == (0, 6)


def test_a_projection_is_the_principal_directions_of_centred_features() -> None:
    torch.manual_seed(0)
    batch, network = toys.batch(), toys.network(embedding=16)
    features = normalize(torch.randn(200, 16) * torch.linspace(1, 0.01, 16) + 3, dim=1)
    projected = Projected(network, dimensions=4)
    kept = projected.fit(features)
    _, values, right = torch.linalg.svd(features - features.mean(dim=0), full_matrices=False)
    assert abs(kept - float((values[:4] ** 2).sum() / (values**2).sum())) < 1e-4
    torch.testing.assert_close((projected.directions.T @ right[:4].T).abs(), torch.eye(4), atol=1e-3, rtol=0)
    network.eval()
    with torch.no_grad():
        plain = network(batch.images, lambda propose: batch.boxes).embeddings
        ours = projected.eval()(batch.images, lambda propose: batch.boxes)
    assert plain is not None and ours.embeddings is not None and ours.objectness is not None
    expected = normalize((plain - features.mean(dim=0)) @ projected.directions, dim=1)
    torch.testing.assert_close(ours.embeddings, expected)
    assert projected.taps == network.taps and projected.anchor_grid == network.anchor_grid
    with pytest.raises(ValueError, match="dimensions=17: the network has embeddings of 16 numbers"):
        Projected(network, dimensions=17)


def test_centring_alone_keeps_all_axes() -> None:
    features = normalize(torch.randn(50, 16, generator=torch.Generator().manual_seed(0)) + 2, dim=1)
    projected = Projected(toys.network(embedding=16))
    assert projected.fit(features) == 1.0 and torch.equal(projected.directions, torch.eye(16))
    torch.testing.assert_close(projected.mean, features.mean(dim=0))
    alone = Projected(toys.network(embedding=16), centre=False, dimensions=3)
    alone.fit(features)
    assert not alone.mean.any()
