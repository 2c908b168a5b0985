"""The region proposal network (Ren et al. 2015) on one feature map."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from einops import rearrange
from torch import Tensor, nn
from torchvision.models.detection.rpn import RPNHead
from torchvision.ops import batched_nms

from psearch.boxes import clip, decode
from psearch.types import Boxes

LEAST_SIDE = {"centre": 1.0, "corner": 1e-3}
"""Where anchors are centred -> shortest side of a proposal, input pixels."""


class ProposalNetwork(nn.Module):
    """Scores anchors for "a person is here" and moves them onto the person.

    sizes: square root of an anchor's area, input pixels. aspects: height over width. The anchors are part
    of the state dict, so a checkpoint knows the ones it was trained with. pre_nms_top_n, post_nms_top_n:
    proposals kept before and after non-maximum suppression at IoU `nms_thresh`; `pre_nms_top_n_train` and
    `post_nms_top_n_train` the same in training where they differ (the published recipes keep more).
    anchored_at: "centre" of a cell, or "corner" with whole-pixel anchors, aspects outermost: torchvision's,
    on which every published weight of SeqNet and NAE was trained.
    """

    sizes: Tensor
    aspects: Tensor

    def __init__(
        self,
        channels: int,
        *,
        stride: int,
        sizes: Sequence[float],
        aspects: Sequence[float],
        pre_nms_top_n: int,
        post_nms_top_n: int,
        nms_thresh: float = 0.7,
        pre_nms_top_n_train: int | None = None,
        post_nms_top_n_train: int | None = None,
        anchored_at: str = "centre",
    ) -> None:
        super().__init__()
        if anchored_at not in LEAST_SIDE:
            raise ValueError(f"anchored_at={anchored_at}: choose {' or '.join(LEAST_SIDE)}")
        self.anchored_at = anchored_at
        self.stride, self.nms_thresh = stride, nms_thresh
        self.pre_nms_top_n, self.post_nms_top_n = pre_nms_top_n, post_nms_top_n
        self.pre_nms_top_n_train = pre_nms_top_n_train or pre_nms_top_n
        self.post_nms_top_n_train = post_nms_top_n_train or post_nms_top_n
        self.register_buffer("sizes", torch.as_tensor(list(sizes), dtype=torch.float32))
        self.register_buffer("aspects", torch.as_tensor(list(aspects), dtype=torch.float32))
        self.head = RPNHead(channels, len(self.sizes) * len(self.aspects))

    def anchors(self, height: int, width: int) -> Tensor:
        """Anchors of a (height, width) feature map: (height * width * shapes, 4), xyxy, input pixels."""
        half = self._shapes() / 2
        shift = 0.0 if self.anchored_at == "corner" else 0.5
        x = (torch.arange(width, device=half.device) + shift) * self.stride
        y = (torch.arange(height, device=half.device) + shift) * self.stride
        centre = torch.stack(torch.meshgrid(x, y, indexing="xy"), dim=-1)[:, :, None]
        if self.anchored_at == "corner":
            half = half.round()
        return rearrange(torch.cat([centre - half, centre + half], dim=-1), "h w a xyxy -> (h w a) xyxy")

    def _shapes(self) -> Tensor:
        """Width and height of the anchors at one place (shapes, 2)."""
        order = "s a -> (a s)" if self.anchored_at == "corner" else "s a -> (s a)"
        tall = rearrange(self.sizes[:, None] * self.aspects.sqrt(), order)
        wide = rearrange(self.sizes[:, None] / self.aspects.sqrt(), order)
        return torch.stack([wide, tall], dim=-1)

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Features (b, c, h, w) -> anchors (a, 4), objectness (b, a) logits, deltas (b, a, 4)."""
        objectness, deltas = self.head([features])
        anchors = self.anchors(features.shape[-2], features.shape[-1])
        return (
            anchors,
            rearrange(objectness[0], "b a h w -> b (h w a)"),
            rearrange(deltas[0], "b (a xyxy) h w -> b (h w a) xyxy", xyxy=4),
        )

    @torch.no_grad()
    def propose(
        self, anchors: Tensor, objectness: Tensor, deltas: Tensor, size: tuple[int, int] | Tensor
    ) -> Boxes:
        """The best boxes per image, clipped to `size` (height, width), one for all or (b, 2), best first."""
        before = self.pre_nms_top_n_train if self.training else self.pre_nms_top_n
        after = self.post_nms_top_n_train if self.training else self.post_nms_top_n
        scores, best = objectness.float().topk(min(before, objectness.shape[1]), dim=1)
        boxes = decode(deltas.float().gather(1, best[..., None].expand(-1, -1, 4)), anchors[best])
        boxes = clip_each(boxes, size) if isinstance(size, Tensor) else clip(boxes, *size)
        image = torch.arange(len(scores), device=scores.device)[:, None].expand_as(scores)
        large = ((boxes[..., 2:] - boxes[..., :2]) >= LEAST_SIDE[self.anchored_at]).all(-1)
        boxes, scores, image = boxes[large], scores[large], image[large]
        keep = batched_nms(boxes, scores, image, self.nms_thresh)
        boxes, image = boxes[keep], image[keep]
        return [boxes[image == i][:after] for i in range(len(objectness))]


def clip_each(boxes: Tensor, sizes: Tensor) -> Tensor:
    """Boxes (b, n, 4) cut to the pictures of a batch, whose height and width are `sizes` (b, 2)."""
    most = sizes.flip(1).repeat(1, 2)[:, None].to(boxes)
    return boxes.clamp(min=0).minimum(most)
