"""Hints: the student's feature map drawn to the teacher's (Chen et al., NIPS 2017)."""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import mse_loss

from psearch.distill.taps import TapTerm
from psearch.types import Batch


class Features(TapTerm):
    """‖V − Z‖², V the student's map after an adaptation layer (1x1 convolution, also where sizes agree), Z
    the teacher's. Our reading: the mean over elements, so that the weight does not depend on the size of the
    map."""

    always_adapts = True

    def distance(self, name: str, student: Tensor, teacher: Tensor, batch: Batch) -> Tensor:
        return mse_loss(student, teacher)
