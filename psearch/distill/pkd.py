"""PKD: Pearson correlation of feature maps (Cao et al., NeurIPS 2022)."""

from __future__ import annotations

from einops import rearrange
from torch import Tensor
from torch.nn.functional import mse_loss

from psearch.distill.taps import TapTerm
from psearch.types import Batch


class PKD(TapTerm):
    """½ mean (Ŝ − T̂)², each channel of both maps at mean 0 and variance 1 over batch and places: 1 − r, r
    the Pearson correlation of the two, whatever their scale."""

    def distance(self, name: str, student: Tensor, teacher: Tensor, batch: Batch) -> Tensor:
        return mse_loss(_standard(student), _standard(teacher)) / 2


def _standard(maps: Tensor) -> Tensor:
    rows = rearrange(maps, "b c h w -> c (b h w)")
    deviation = rows.std(dim=1, keepdim=True, correction=0)
    return (rows - rows.mean(dim=1, keepdim=True)) / (deviation + 1e-6)
