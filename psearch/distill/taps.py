"""What all terms on feature maps have in common: named taps, and adapters where channels differ."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from psearch import distributed
from psearch.distill.teacher import Published, Teacher
from psearch.distill.term import Scheduled, Term
from psearch.types import Batch, SearchOutput


class TapTerm(Term):
    """A distance between feature maps (b, c, h, w) of both networks at taps of the same name, summed over
    taps; a mean over images, so that the ranks' parts add up.

    taps: names that both networks publish. A 1x1 convolution of the term's own brings the student's channels
    to the teacher's: always if `always_adapts`, else only where they differ. Raises ValueError on `attach`
    for a tap that one of the two does not publish, and for taps of different stride.
    """

    needs = frozenset({"features"})
    always_adapts = False

    def __init__(
        self, *, taps: Sequence[str] = ("c4",), weight: Scheduled = 1.0, teacher: str | None = None
    ) -> None:
        super().__init__(weight=weight, teacher=teacher)
        self.taps = list(taps)
        self.adapters = nn.ModuleDict()

    def attach(self, student: Published, teacher: Teacher) -> None:
        for name in self.taps:
            for who, network in (("student", student), (f"teacher {teacher.name}", teacher.published)):
                if name not in network.taps:
                    raise ValueError(
                        f"the {who} has no tap '{name}', it has {', '.join(network.taps)}: set taps"
                    )
            ours, theirs = student.taps[name], teacher.published.taps[name]
            if ours.stride != theirs.stride:
                raise ValueError(
                    f"tap '{name}' has stride {ours.stride} in the student and {theirs.stride} in the "
                    "teacher: choose another tap, or compressions of student and teacher that agree"
                )
            same = ours.channels == theirs.channels and not self.always_adapts
            self.adapters[name] = nn.Identity() if same else nn.Conv2d(ours.channels, theirs.channels, 1)
            self._add(name, theirs.channels)

    def _add(self, name: str, channels: int) -> None:
        """Parameters of a tap beyond its adapter."""

    def forward(self, student: SearchOutput, teacher: SearchOutput, batch: Batch) -> Tensor:
        distances = []
        for name, adapter in self.adapters.items():
            ours, theirs = adapter(student.features[name]), teacher.features[name]
            assert ours.shape == theirs.shape, (name, ours.shape, theirs.shape)
            with torch.autocast(ours.device.type, enabled=False):
                distances.append(self.distance(name, ours.float(), theirs.float(), batch))
        return torch.stack(distances).sum() * distributed.mean_weight(len(batch.images))

    def distance(self, name: str, ours: Tensor, theirs: Tensor, batch: Batch) -> Tensor:
        """A scalar for one tap; maps (b, c, h, w), fp32."""
        raise TypeError(f"{type(self).__name__} defines no distance")
