"""OSNet (Zhou et al., ICCV 2019), as torchreid's zoo of re-identification networks has it: the same tensors
under the same names."""

from __future__ import annotations

from importlib import import_module

import torch
from torch import Tensor, nn
from torch.nn.functional import relu

from psearch.models.crops import CropNetwork

CHANNELS = {
    "osnet_x0_25": (16, 64, 96, 128),
    "osnet_x0_5": (32, 128, 192, 256),
    "osnet_x0_75": (48, 192, 288, 384),
    "osnet_x1_0": (64, 256, 384, 512),
}
"""Name in torchreid -> channels of the stem and of the three stages."""

FEATURES = 512


class OSNet(nn.Module):
    """Person crops (N, 3, h, w) -> features (N, 512), not of unit length: a stem at stride 4, three stages of
    two blocks, the first two of them halved, global average, one linear layer."""

    def __init__(self, name: str) -> None:
        super().__init__()
        stem, two, three, four = CHANNELS[name]
        self.conv1 = _Conv(3, stem, 7, stride=2)
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        self.conv2 = _stage(stem, two, halves=True)
        self.conv3 = _stage(two, three, halves=True)
        self.conv4 = _stage(three, four, halves=False)
        self.conv5 = _Conv(four, four, 1)
        self.fc = nn.Sequential(nn.Linear(four, FEATURES), nn.BatchNorm1d(FEATURES), nn.ReLU())

    def forward(self, crops: Tensor) -> Tensor:
        maps = self.conv3(self.conv2(self.maxpool(self.conv1(crops))))
        features: Tensor = self.fc(self.conv5(self.conv4(maps)).mean(dim=(2, 3)))
        return features


class _Conv(nn.Module):
    """Convolution and normalisation, then ReLU unless `linear`."""

    def __init__(self, inputs: int, out: int, size: int, *, stride: int = 1, linear: bool = False) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, out, size, stride, size // 2, bias=False)
        self.bn = nn.BatchNorm2d(out)
        self.linear = linear

    def forward(self, maps: Tensor) -> Tensor:
        maps = self.bn(self.conv(maps))
        return maps if self.linear else relu(maps)


class _Lite(nn.Module):
    """The paper's Lite 3x3: a linear 1x1 convolution, then a 3x3 of each channel by itself (section 3.1)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 1, bias=False)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, groups=channels, bias=False)
        self.bn = nn.BatchNorm2d(channels)

    def forward(self, maps: Tensor) -> Tensor:
        return relu(self.bn(self.conv2(self.conv1(maps))))


class _Gate(nn.Module):
    """The unified aggregation gate: a weight for each channel, from its means over places (eq. 3)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.fc1 = nn.Conv2d(channels, channels // 16, 1)
        self.fc2 = nn.Conv2d(channels // 16, channels, 1)

    def forward(self, maps: Tensor) -> Tensor:
        weights = self.fc2(relu(self.fc1(maps.mean(dim=(2, 3), keepdim=True))))
        return maps * torch.sigmoid(weights)


class _Block(nn.Module):
    """Omni-scale residual block: streams of one to four Lite 3x3, one gate for all, summed (fig. 4)."""

    def __init__(self, inputs: int, out: int) -> None:
        super().__init__()
        inner = out // 4
        self.conv1 = _Conv(inputs, inner, 1)
        self.conv2a = _Lite(inner)
        self.conv2b = nn.Sequential(*(_Lite(inner) for _ in range(2)))
        self.conv2c = nn.Sequential(*(_Lite(inner) for _ in range(3)))
        self.conv2d = nn.Sequential(*(_Lite(inner) for _ in range(4)))
        self.gate = _Gate(inner)
        self.conv3 = _Conv(inner, out, 1, linear=True)
        self.downsample = None if inputs == out else _Conv(inputs, out, 1, linear=True)

    def forward(self, maps: Tensor) -> Tensor:
        start = self.conv1(maps)
        streams = (self.conv2a, self.conv2b, self.conv2c, self.conv2d)
        gated = torch.stack([self.gate(stream(start)) for stream in streams]).sum(dim=0)
        shortcut = maps if self.downsample is None else self.downsample(maps)
        return relu(self.conv3(gated) + shortcut)


def _stage(inputs: int, out: int, *, halves: bool) -> nn.Sequential:
    blocks: list[nn.Module] = [_Block(inputs, out), _Block(out, out)]
    if halves:
        blocks.append(nn.Sequential(_Conv(out, out, 1), nn.AvgPool2d(2)))
    return nn.Sequential(*blocks)


def torchreid_network(model: str, crop: tuple[int, int]) -> CropNetwork:
    """A network of torchreid's zoo, with random weights, that describes crops of (height, width) pixels: an
    OSNet described here, or any other one where the package torchreid is installed. ValueError if neither."""
    if model in CHANNELS:
        return CropNetwork(OSNet(model), embedding=FEATURES, crop=crop, spare=("classifier.",))
    try:
        models = import_module("torchreid.reid.models")
        network = models.build_model(model, num_classes=1, pretrained=False)
    except (ImportError, KeyError) as error:
        raise ValueError(
            f"model={model}: choose {', '.join(CHANNELS)}, or one that the package torchreid builds ({error})"
        ) from error
    network.classifier = nn.Identity()
    return CropNetwork(network, embedding=network.feature_dim, crop=crop, spare=("classifier.",))
