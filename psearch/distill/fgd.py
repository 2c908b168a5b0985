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

    Σ_fg = Σ M A^S A^C (T − S)² over the people: M = 1 / area in feature pixels of the smallest true box a
    place lies in; Σ_bg the same over the background, M = 1 / its number of places. A^S, A^C: attention of
    places and of channels, softmax of mean |feature| at a temperature, times their number; those of the
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
        self.ours, self.theirs = nn.ModuleDict(), nn.ModuleDict()

    def _add(self, name: str, channels: int) -> None:
        self.ours[name], self.theirs[name] = GlobalContext(channels), GlobalContext(channels)

    def distance(self, name: str, ours: Tensor, theirs: Tensor, batch: Batch) -> Tensor:
        people = people_mask(batch, theirs)
        empty = (people == 0).float()
        places = empty / empty.sum(dim=(1, 2), keepdim=True).clamp(min=1)
        where, which = attention(theirs, self.temperature)
        error = einsum((theirs - ours).square(), where, which, "b c h w, b h w, b c -> b h w")
        focal = self.foreground * (error * people).sum() + self.background * (error * places).sum()
        other_where, other_which = attention(ours, self.temperature)
        apart = (where - other_where).abs().sum() + (which - other_which).abs().sum()
        globally = (self.ours[name](ours) - self.theirs[name](theirs)).square().sum()
        return (focal + self.attention * apart + self.relation * globally) / len(ours)


def attention(maps: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
    """Maps (b, c, h, w) -> attention of places (b, h, w), mean 1, and of channels (b, c), mean 1."""
    strength = maps.abs()
    height, width = maps.shape[2:]
    places = rearrange(strength.mean(dim=1) / temperature, "b h w -> b (h w)").softmax(dim=1)
    where = rearrange(places, "b (h w) -> b h w", h=height) * height * width
    which = (strength.mean(dim=(2, 3)) / temperature).softmax(dim=1) * maps.shape[1]
    return where, which


def people_mask(batch: Batch, maps: Tensor) -> Tensor:
    """(b, h, w): 1 / area of the smallest true box, in feature pixels, at each place in one; 0 elsewhere."""
    height, width = maps.shape[2:]
    mask = maps.new_zeros(len(maps), height, width)
    scale = mask.new_tensor([width, height, width, height]) / mask.new_tensor(
        [batch.images.shape[3], batch.images.shape[2]] * 2
    )
    for own, boxes, ignore in zip(mask, batch.boxes, batch.ignore, strict=True):
        for box in (boxes[~ignore] * scale).tolist():
            left, top = max(int(box[0]), 0), max(int(box[1]), 0)
            inside = own[top : int(-(-box[3] // 1)), left : int(-(-box[2] // 1))]
            inside.clamp_(min=1 / max(inside.numel(), 1))
    return mask


class GlobalContext(nn.Module):
    """GcBlock (Cao et al. 2019, GCNet): adds to every place what a learnt look at the whole map says; nothing
    at the beginning, as its last layer starts at zero."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        inner = max(channels // 2, 1)
        self.look = nn.Conv2d(channels, 1, 1)
        self.say = nn.Sequential(
            nn.Linear(channels, inner), nn.LayerNorm(inner), nn.ReLU(inplace=True), nn.Linear(inner, channels)
        )
        for parameter in self.say[-1].parameters():
            nn.init.zeros_(parameter)

    def forward(self, maps: Tensor) -> Tensor:
        where = rearrange(self.look(maps), "b 1 h w -> b (h w)").softmax(dim=1)
        seen = torch.einsum("bcn,bn->bc", rearrange(maps, "b c h w -> b c (h w)"), where)
        added: Tensor = maps + self.say(seen)[:, :, None, None]
        return added
