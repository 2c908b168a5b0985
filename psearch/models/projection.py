"""A network's embeddings, centred and brought to fewer dimensions."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import normalize

from psearch.models.network import Network
from psearch.types import EVERYTHING, AnchorGrid, Pick, SearchOutput, Tap

log = logging.getLogger(__name__)


class Projected(Network):
    """Another network in all but its embeddings f: these are (f − mean) · directions, at unit length.

    mean (d,) and directions (d, dimensions), orthonormal columns: what `fit` found, and until then nothing
    and the first axes. Trained without a margin between identities, the features of most re-identification
    networks are a cone: their mean says nothing of who is seen, and outweighs what does.

    centre: subtract the mean. dimensions: None keeps all d. ValueError for more of them than there are.
    """

    mean: Tensor
    directions: Tensor

    def __init__(self, network: Network, *, centre: bool = True, dimensions: int | None = None) -> None:
        super().__init__()
        length = network.embedding_size
        if dimensions is not None and not 1 <= dimensions <= length:
            raise ValueError(f"dimensions={dimensions}: the network has embeddings of {length} numbers")
        self.network, self.centre = network, centre
        self.embedding_size, self.detects = dimensions or length, network.detects
        self.register_buffer("mean", torch.zeros(length))
        self.register_buffer("directions", torch.eye(length, self.embedding_size))

    @property
    def taps(self) -> Mapping[str, Tap]:
        return self.network.taps

    @property
    def anchor_grid(self) -> AnchorGrid | None:
        return self.network.anchor_grid

    @property
    def budget(self) -> int:  # type: ignore[override]
        return self.network.budget

    @property
    def query_conditioned(self) -> Any:
        return self.network.query_conditioned

    def begin(self) -> None:
        self.network.begin()

    @torch.no_grad()
    def fit(self, features: Tensor) -> float:
        """Take mean and principal directions from features (n, d) of people -> the share of their variance
        that the directions keep. Without a reduction the axes stay as they are."""
        if self.centre:
            self.mean.copy_(features.mean(dim=0))
        centred = (features - self.mean.to(features)).double()
        values, vectors = torch.linalg.eigh(centred.T @ centred)
        if self.embedding_size == len(self.mean):
            return 1.0
        chosen = vectors.flip(1)[:, : self.embedding_size]
        largest = chosen.gather(0, chosen.abs().argmax(dim=0, keepdim=True))
        self.directions.copy_(chosen * largest.sign())  # an eigenvector has no sign of its own
        return float(values.flip(0)[: self.embedding_size].sum() / values.sum())

    def forward(self, images: Tensor, pick: Pick, wanted: frozenset[str] = EVERYTHING) -> SearchOutput:
        output: SearchOutput = self.network(images, pick, wanted)
        if output.embeddings is None:
            return output
        centred = output.embeddings.float() - self.mean
        return replace(output, embeddings=normalize(centred @ self.directions, dim=1))
