"""Cost is counted, not guessed."""

import torch
from torch import nn

from psearch.models.cost import cost
from psearch.models.network import Network
from psearch.types import SearchOutput
from tests import toys

CPU = torch.device("cpu")


class OneConvolution(Network):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3, padding=1, bias=False)

    def forward(self, images, pick):
        pick(lambda: [])
        return SearchOutput(features={"c": self.conv(images)})


def test_a_convolution_by_hand():
    known = cost(OneConvolution(), height=16, width=20, device=CPU, repeats=1)
    assert known["parameters"] == 3 * 8 * 9
    assert known["macs"] == 16 * 20 * 3 * 8 * 9
    assert known["latency_ms"] > 0 and known["input"] == [16, 20]


def test_what_a_network_has_learnt_does_not_change_its_cost():
    one, other = (cost(toys.network(seed), height=64, width=96, device=CPU, repeats=1) for seed in (0, 1))
    assert one["macs"] == other["macs"] and one["parameters"] == other["parameters"]
    assert one["parameters"] == sum(p.numel() for p in toys.network().parameters())
    assert one["file_bytes"] > 4 * one["parameters"]
