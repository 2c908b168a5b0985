"""FGD: focal and global distillation of feature maps (Yang et al., CVPR 2022; the DFD of DDPS, TMM 2024)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from einops import einsum, rearrange
from torch import Tensor, nn

from psearch.distill.taps import TapTerm
from psearch.distill.term import Scheduled
from psearch.types import Batch


class FGD(TapTerm):
    """α Σ_fg + β Σ_bg + γ L_at + λ L_global, sums over channels and places, mean over images.

    Σ_fg = Σ M A^S A^C (T − S)² over the people: M = 1 / area in feature pixels of the smallest ground-truth
    box a place lies in; Σ_bg the same over the background, M = 1 / its number of places. A^S, A^C: attention
    of places and of channels, softmax of mean |feature| at a temperature, times their number; those of the
    teacher weigh. L_at = Σ |A_t − A_s|. L_global: the squared distance of both maps after a GcBlock each,
    both learnt beside the student.
    foreground, background, attention, relation: α, β, γ, λ.
    """

    def __init__(
        self,
        *,
        taps: Sequence[str] = ("c4",),
        foreground: float = 5e-5,
        background: float = 2.5e-5,
        attention: float = 5e-5,
        relation: float = 5e-7,
        temperature: float = 0.5,
        weight: Scheduled = 1.0,
        teacher: str | None = None,
    ) -> None:
        super().__init__(taps=taps, weight=weight, teacher=teacher)
        self.foreground, self.background = foreground, background
        self.attention, self.relation, self.temperature = attention, relation, temperature
        self.student_context, self.teacher_context = nn.ModuleDict(), nn.ModuleDict()

    def _add(self, name: str, channels: int) -> None:
        self.student_context[name], self.teacher_context[name] = (
            GlobalContext(channels),
            GlobalContext(channels),
        )

    def distance(self, name: str, student: Tensor, teacher: Tensor, batch: Batch) -> Tensor:
        people = people_mask(batch, teacher)
        empty = (people == 0).float()
        places = empty / empty.sum(dim=(1, 2), keepdim=True).clamp(min=1)
        where, which = attention(teacher, self.temperature)
        error = einsum((teacher - student).square(), where, which, "b c h w, b h w, b c -> b h w")
        focal = self.foreground * (error * people).sum() + self.background * (error * places).sum()
        student_where, student_which = attention(student, self.temperature)
        apart = (where - student_where).abs().sum() + (which - student_which).abs().sum()
        globally = (self.student_context[name](student) - self.teacher_context[name](teacher)).square().sum()
        result: Tensor = (focal + self.attention * apart + self.relation * globally) / len(student)
        return result


def attention(maps: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
    """Maps (b, c, h, w) -> attention of places (b, h, w), mean 1, and of channels (b, c), mean 1."""
    strength = maps.abs()
    height, width = maps.shape[2:]
    places = rearrange(strength.mean(dim=1) / temperature, "b h w -> b (h w)").softmax(dim=1)
    where = rearrange(places, "b (h w) -> b h w", h=height) * height * width
    which = (strength.mean(dim=(2, 3)) / temperature).softmax(dim=1) * maps.shape[1]
    return where, which


def people_mask(batch: Batch, maps: Tensor) -> Tensor:
    """(b, h, w): 1 / area of the smallest ground-truth box, in feature pixels, at each place in one; 0
    elsewhere."""
    height, width = maps.shape[2:]
    mask = maps.new_zeros(len(maps), height, width)
    scale = mask.new_tensor([width, height, width, height]) / mask.new_tensor(
        [batch.images.shape[3], batch.images.shape[2]] * 2
    )
    for image, boxes, ignore in zip(mask, batch.boxes, batch.ignore, strict=True):
        for box in (boxes[~ignore] * scale).tolist():
            left, top = max(int(box[0]), 0), max(int(box[1]), 0)
            inside = image[top : int(-(-box[3] // 1)), left : int(-(-box[2] // 1))]
            inside.clamp_(min=1 / max(inside.numel(), 1))
    return mask


class GlobalContext(nn.Module):
    """GcBlock (Cao et al. 2019, GCNet): adds to every place a learnt function of the whole map; nothing at
    the beginning, as its last layer starts at zero."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        inner = max(channels // 2, 1)
        self.weigh = nn.Conv2d(channels, 1, 1)
        self.transform = nn.Sequential(
            nn.Linear(channels, inner), nn.LayerNorm(inner), nn.ReLU(inplace=True), nn.Linear(inner, channels)
        )
        for parameter in self.transform[-1].parameters():
            nn.init.zeros_(parameter)

    def forward(self, maps: Tensor) -> Tensor:
        where = rearrange(self.weigh(maps), "b 1 h w -> b (h w)").softmax(dim=1)
        seen = torch.einsum("bcn,bn->bc", rearrange(maps, "b c h w -> b c (h w)"), where)
        added: Tensor = maps + self.transform(seen)[:, :, None, None]
        return added
