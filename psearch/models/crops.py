"""Any network that describes person crops, as one that describes boxes in scenes."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn.functional import normalize

from psearch.models.network import Network, Renormalise
from psearch.models.regions import align
from psearch.types import EVERYTHING, MEAN, STD, Pick, SearchOutput


class CropNetwork(Network):
    """Cuts every box out of the scene, brings it to the describer's size and pixels, and describes it.

    describer: crops (N, 3, *crop) -> features (N, embedding), or more dimensions that are flattened. crop:
    (height, width) in pixels. mean, std: of the pixels in 0..1 that it was trained on. spare: beginnings of
    the names of tensors in its files that it does without.
    """

    detects = False

    def __init__(
        self,
        describer: nn.Module,
        *,
        embedding: int,
        crop: Sequence[int] = (256, 128),
        mean: Sequence[float] = MEAN,
        std: Sequence[float] = STD,
        spare: Sequence[str] = (),
    ) -> None:
        super().__init__()
        self.describer, self.embedding_size, self.spare = describer, embedding, tuple(spare)
        height, width = crop
        self.crop = (height, width)
        self.pixels = Renormalise(mean, std)

    @property
    def weighed(self) -> nn.Module:
        """The part of it that a file of weights is of."""
        return self.describer

    def forward(self, images: Tensor, pick: Pick, wanted: frozenset[str] = EVERYTHING) -> SearchOutput:
        """Images (b, 3, h, w), normalised; `pick` must return given boxes: this network proposes none."""
        boxes = pick(lambda: [images.new_zeros(0, 4) for _ in images])
        crops = self.pixels(align(images, boxes, size=self.crop, stride=1, samples=2))
        if not len(crops):
            return SearchOutput(boxes=boxes, embeddings=images.new_zeros(0, self.embedding_size))
        return SearchOutput(
            boxes=boxes, embeddings=normalize(self.describer(crops).flatten(1).float(), dim=1)
        )
