"""CWD: where each channel is active, as a distribution over places (Shu et al., ICCV 2021)."""

from __future__ import annotations

from collections.abc import Sequence

from einops import rearrange
from torch import Tensor

from psearch.distill.distances import soft_kl
from psearch.distill.taps import TapTerm
from psearch.distill.term import Scheduled
from psearch.types import Batch


class CWD(TapTerm):
    """τ² KL(softmax(T / τ) ‖ softmax(S / τ)), softmax over the places of a channel; mean over channels and
    images."""

    def __init__(
        self,
        *,
        taps: Sequence[str] = ("c4",),
        temperature: float = 1.0,
        weight: Scheduled = 1.0,
        teacher: str | None = None,
    ) -> None:
        super().__init__(taps=taps, weight=weight, teacher=teacher)
        self.temperature = temperature

    def distance(self, name: str, student: Tensor, teacher: Tensor, batch: Batch) -> Tensor:
        rows = (rearrange(maps, "b c h w -> (b c) (h w)") for maps in (student, teacher))
        return soft_kl(*rows, temperature=self.temperature)
