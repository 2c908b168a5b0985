"""A backbone alone: the feature maps of scenes, and nobody found in them."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from psearch.models.backbone import Backbone
from psearch.models.network import Network
from psearch.types import EVERYTHING, Pick, SearchOutput, Tap


class TrunkNetwork(Network):
    """Images (b, 3, h, w), normalised -> the feature maps of a backbone. Its head is carried along, unused:
    the whole backbone can be the start of another network's."""

    detects = False
    embedding_size = 0

    def __init__(self, backbone: Backbone) -> None:
        super().__init__()
        self.backbone = backbone

    @property
    def taps(self) -> Mapping[str, Tap]:
        """Feature maps it publishes, by name."""
        return self.backbone.taps

    def forward(self, images: Tensor, pick: Pick, wanted: frozenset[str] = EVERYTHING) -> SearchOutput:
        """`pick` is asked for boxes, which stay without a description."""
        boxes = pick(lambda: [images.new_zeros(0, 4) for _ in images])
        return SearchOutput(features=self.backbone(images), boxes=boxes)
