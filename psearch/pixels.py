"""How pixels are normalised for every network; one that was trained on other numbers converts them itself."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)
"""Channel mean and standard deviation of ImageNet, for pixels in 0..1; one constant for all networks."""


class Renormalise(nn.Module):
    """Images as psearch normalises them -> as a network was trained on them: (b, 3, h, w). mean, std: of the
    pixels in 0..1 that it was trained on; the images themselves if these are psearch's own."""

    gain: Tensor
    offset: Tensor

    def __init__(self, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        self.same = (tuple(mean), tuple(std)) == (MEAN, STD)
        own_mean, own_std, their_mean, their_std = (torch.tensor(each) for each in (MEAN, STD, mean, std))
        self.register_buffer("gain", (own_std / their_std)[:, None, None], persistent=False)
        self.register_buffer("offset", ((own_mean - their_mean) / their_std)[:, None, None], persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        return images if self.same else images * self.gain + self.offset
