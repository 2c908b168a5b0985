"""A re-identification network: embeds the person in a box, and does not detect."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn.functional import normalize

from psearch.models.backbone import Backbone
from psearch.models.network import Network
from psearch.models.regions import align
from psearch.types import EVERYTHING, Pick, SearchOutput


class ReidNetwork(Network):
    """Trunk and head on person crops, horizontal strips, one linear embedding.

    crop: (height, width) in pixels a box is resized to. strips: horizontal strips the last map is averaged
    over (PCB, Sun et al. 2018). A BatchNorm before the unit length keeps the embedding's dimensions
    comparable (BNNeck, Luo et al. 2019).
    """

    detects = False

    def __init__(
        self, backbone: Backbone, *, embedding: int = 256, crop: Sequence[int] = (64, 32), strips: int = 4
    ) -> None:
        super().__init__()
        self.backbone = backbone
        height, width = crop
        self.crop = (height, width)
        self.pool = nn.AdaptiveAvgPool2d((strips, 1))
        self.embedding = nn.Linear(backbone.region_channels * strips, embedding, bias=False)
        self.neck = nn.BatchNorm1d(embedding)
        self.embedding_size = embedding

    def describe(self, crops: Tensor) -> Tensor:
        """Crops (N, 3, *crop), normalised -> embeddings (N, d), unit length."""
        maps = self.backbone.head(self.backbone(crops)[self.backbone.tap])
        return normalize(self.neck(self.embedding(self.pool(maps).flatten(1))).float(), dim=1)

    def forward(self, images: Tensor, pick: Pick, wanted: frozenset[str] = EVERYTHING) -> SearchOutput:
        """Images (b, 3, h, w), normalised; `pick` must return given boxes: this network proposes none."""
        boxes = pick(lambda: [images.new_zeros(0, 4) for _ in images])
        crops = align(images, boxes, size=self.crop, stride=1, samples=2)
        return SearchOutput(boxes=boxes, embeddings=self.describe(crops))
