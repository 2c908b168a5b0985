"""The region head: person or background, box deltas, identity embedding."""

from __future__ import annotations

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn.functional import grid_sample, normalize
from torch.nn.utils.rnn import pad_sequence
from torchvision.ops import roi_align

from psearch.models.backbone import Backbone
from psearch.types import Boxes

DESCRIBED = frozenset({"box_logits", "box_deltas", "embeddings"})
"""Parts of `SearchOutput` that a head computes of regions."""


class RegionHead(nn.Module):
    """Classification, box regression and identity embedding of region features (Xiao et al. 2017, fig. 2).

    It is one of the heads that a search network can be given: any module made of (backbone, embedding=length)
    that turns regions into the wanted parts of `DESCRIBED`. `psearch.models.norm_aware` has another.
    """

    def __init__(self, backbone: Backbone, *, embedding: int) -> None:
        super().__init__()
        rows, columns = backbone.region_map
        if rows % backbone.strips:
            raise ValueError(f"strips={backbone.strips} does not divide the {rows} rows of the region map")
        self.strips, self.keep_layout = backbone.strips, backbone.keep_layout
        inputs = backbone.region_channels * (rows * columns if self.keep_layout else 1)
        self.box_logits = nn.Linear(inputs, 2)
        self.box_deltas = nn.Linear(inputs, 4)
        self.embedding = nn.Linear(backbone.region_channels * self.strips, embedding)
        for layer, spread in ((self.box_logits, 0.01), (self.box_deltas, 0.001), (self.embedding, 0.01)):
            nn.init.normal_(layer.weight, std=spread)
            nn.init.zeros_(layer.bias)

    def forward(self, cut: Tensor, regions: Tensor, wanted: frozenset[str] = DESCRIBED) -> dict[str, Tensor]:
        """What RoIAlign cut from the trunk's map (N, c, *region_size), and the region maps (N, c', h, w) that
        the backbone's head made of it -> the wanted ones of `DESCRIBED`, rows (N, …)."""
        outputs: dict[str, Tensor] = {}
        if wanted & {"box_logits", "box_deltas"}:
            outputs["box_logits"], outputs["box_deltas"] = self.locate(regions)
        if "embeddings" in wanted:
            outputs["embeddings"] = self.identify(regions)
        return outputs

    def locate(self, regions: Tensor) -> tuple[Tensor, Tensor]:
        """Region maps (N, c, h, w) -> box logits (N, 2), box deltas (N, 4)."""
        flat = regions.flatten(1) if self.keep_layout else regions.mean(dim=(2, 3))
        return self.box_logits(flat), self.box_deltas(flat)

    def identify(self, regions: Tensor) -> Tensor:
        """Region maps (N, c, h, w) -> embeddings (N, d), unit length."""
        rows = rearrange(regions, "n c (s h) w -> n s c h w", s=self.strips).mean(dim=(3, 4))
        embeddings = self.embedding(rearrange(rows, "n s c -> n (s c)"))
        return normalize(embeddings.float(), dim=1)


def align(
    features: Tensor,
    boxes: Boxes,
    *,
    size: tuple[int, int],
    stride: float,
    samples: int,
    aligned: bool = True,
) -> Tensor:
    """Features (b, c, h, w) at boxes (per image (n, 4), xyxy, input pixels) -> (N, c, *size), rows in
    the order of the boxes.

    `stride`: input pixels per feature pixel. aligned: False leaves out the half-pixel correction, as Faster
    R-CNN's public versions of 2019 do and with them every published weight of person search. With one sample
    per bin this is `grid_sample`, equal to torchvision's `roi_align(sampling_ratio=1, aligned=True)` but much
    faster backwards on a CPU. Source: He et al. 2017, RoIAlign; half-pixel correction as in Detectron2.
    """
    if samples == 1:
        boxes = boxes if aligned else [_uncorrected(each, stride) for each in boxes]
        return _align_once(features, boxes, size, stride)
    result: Tensor = roi_align(features, boxes, size, 1.0 / stride, samples, aligned=aligned)
    return result


def _uncorrected(boxes: Tensor, stride: float) -> Tensor:
    """Boxes that look where `aligned=False` does: half a feature pixel on, at least a feature pixel large."""
    corner, other = boxes[:, :2], boxes[:, 2:]
    return torch.cat([corner, torch.maximum(other, corner + stride)], dim=1) + stride / 2


def _align_once(features: Tensor, boxes: Boxes, size: tuple[int, int], stride: float) -> Tensor:
    rows, columns = size
    padded = pad_sequence(boxes, batch_first=True)
    x1, y1, x2, y2 = (padded / stride).to(features.dtype).unbind(-1)
    across = (torch.arange(columns, device=padded.device, dtype=features.dtype) + 0.5) / columns
    down = (torch.arange(rows, device=padded.device, dtype=features.dtype) + 0.5) / rows
    x = (x1[..., None] + (x2 - x1)[..., None] * across) * (2 / features.shape[-1]) - 1
    y = (y1[..., None] + (y2 - y1)[..., None] * down) * (2 / features.shape[-2]) - 1
    count = padded.shape[1]
    grid = torch.stack(
        [x[:, :, None, :].expand(-1, -1, rows, -1), y[:, :, :, None].expand(-1, -1, -1, columns)], dim=-1
    )
    grid = rearrange(grid, "b n r c xy -> b (n r) c xy")
    cut = grid_sample(features, grid, padding_mode="border", align_corners=False)
    cut = rearrange(cut, "b c (n r) w -> b n c r w", n=count, r=rows)
    if all(len(per_image) == count for per_image in boxes):
        return cut.flatten(0, 1)
    return torch.cat([image[: len(per_image)] for image, per_image in zip(cut, boxes, strict=True)])
