"""Cost is counted, not guessed."""

import torch
from torch import nn

from psearch.models.cost import cost
from psearch.types import SearchOutput
from tests import toys


class OneConvolution(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3, padding=1, bias=False)

    def forward(self, images, pick):
        pick(lambda: [])
        return SearchOutput(features={"c": self.conv(images)})


def test_a_convolution_by_hand():
    known = cost(OneConvolution(), height=16, width=20, device=torch.device("cpu"), repeats=1)
    assert known["parameters"] == 3 * 8 * 9
    assert known["macs"] == 16 * 20 * 3 * 8 * 9
    assert known["latency_ms"] > 0 and known["input"] == [16, 20]


def test_training_with_a_teacher_costs_nothing_at_inference():
    known = cost(toys.network(), height=64, width=96, device=torch.device("cpu"), repeats=1)
    assert known["parameters"] == sum(p.numel() for p in toys.network().parameters())
    assert known["file_bytes"] > 4 * known["parameters"]
