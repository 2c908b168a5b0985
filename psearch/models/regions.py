"""What a network says about one region: person or not, where exactly, and who."""

from __future__ import annotations

from einops import rearrange
from torch import Tensor, nn
from torch.nn.functional import normalize

from psearch.models.backbone import Backbone


class RegionHead(nn.Module):
    """Classification, box regression and identity embedding of region features (Xiao et al. 2017, fig. 2)."""

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

    def locate(self, regions: Tensor) -> tuple[Tensor, Tensor]:
        """Region maps (N, c, h, w) -> box logits (N, 2), box deltas (N, 4)."""
        flat = regions.flatten(1) if self.keep_layout else regions.mean(dim=(2, 3))
        return self.box_logits(flat), self.box_deltas(flat)

    def identify(self, regions: Tensor) -> Tensor:
        """Region maps (N, c, h, w) -> embeddings (N, d), unit length."""
        rows = rearrange(regions, "n c (s h) w -> n s c h w", s=self.strips).mean(dim=(3, 4))
        embeddings = self.embedding(rearrange(rows, "n s c -> n (s c)"))
        return normalize(embeddings.float(), dim=1)
