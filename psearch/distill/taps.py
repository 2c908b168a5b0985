"""The base of all terms on feature maps: named taps, and adapters where channels differ."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from psearch import distributed
from psearch.distill.teacher import NetworkSpec, Teacher
from psearch.distill.term import Scheduled, Term
from psearch.types import Batch, SearchOutput


class TapTerm(Term):
    """A distance between feature maps (b, c, h, w) of both networks at taps of the same name, summed over
    taps; a mean over images, so that the ranks' parts add up.

    taps: names that both networks publish. An adapter (a 1x1 convolution that belongs to the term) brings the
    student's channels to the teacher's: always if `always_adapts`, else only where they differ. Raises
    ValueError on `attach` for a tap that one of the two does not publish, and for taps of different stride.
    """

    needs = frozenset({"features"})
    always_adapts = False

    def __init__(
        self, *, taps: Sequence[str] = ("c4",), weight: Scheduled = 1.0, teacher: str | None = None
    ) -> None:
        super().__init__(weight=weight, teacher=teacher)
        self.taps = list(taps)
        self.adapters = nn.ModuleDict()

    def attach(self, student: NetworkSpec, teacher: Teacher) -> None:
        for name in self.taps:
            for who, network in (("student", student), (f"teacher {teacher.name}", teacher.spec)):
                if name not in network.taps:
                    raise ValueError(
                        f"the {who} has no tap '{name}', it has {', '.join(network.taps)}: set taps"
                    )
            tap, teacher_tap = student.taps[name], teacher.spec.taps[name]
            if tap.stride != teacher_tap.stride:
                raise ValueError(
                    f"tap '{name}' has stride {tap.stride} in the student and {teacher_tap.stride} in the "
                    "teacher: choose another tap, or compressions of student and teacher that agree"
                )
            same = tap.channels == teacher_tap.channels and not self.always_adapts
            adapter = nn.Identity() if same else nn.Conv2d(tap.channels, teacher_tap.channels, 1)
            self.adapters[name] = adapter
            self._add(name, teacher_tap.channels)

    def _add(self, name: str, channels: int) -> None:
        """Parameters of a tap beyond its adapter."""

    def forward(self, student: SearchOutput, teacher: SearchOutput, batch: Batch) -> Tensor:
        distances = []
        for name, adapter in self.adapters.items():
            adapted, target = adapter(student.features[name]), teacher.features[name]
            assert adapted.shape == target.shape, (name, adapted.shape, target.shape)
            with torch.autocast(adapted.device.type, enabled=False):
                distances.append(self.distance(name, adapted.float(), target.float(), batch))
        return torch.stack(distances).sum() * distributed.mean_weight(len(batch.images))

    def distance(self, name: str, student: Tensor, teacher: Tensor, batch: Batch) -> Tensor:
        """A scalar for one tap; maps (b, c, h, w), fp32, the student's after the adapter."""
        raise TypeError(f"{type(self).__name__} defines no distance")
