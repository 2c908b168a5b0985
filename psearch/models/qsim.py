"""QSimNet: how likely two embeddings are of one person."""

from __future__ import annotations

from einops import rearrange
from torch import Tensor, nn


class QSimNet(nn.Module):
    """Squared difference, batch normalisation, one linear layer (our reading of Munjal et al. 2019; that it
    goes from the two embeddings to a similarity with a loss of its own is public).

    Unit embeddings lie so near each other that their squared differences are tiny: hence the norm.
    """

    def __init__(self, embedding: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(embedding)
        self.similarity = nn.Linear(embedding, 1)

    def forward(self, queries: Tensor, embeddings: Tensor) -> Tensor:
        """Two (N, d), row by row -> (N,) logits."""
        return rearrange(self.similarity(self.norm((queries - embeddings).square())), "n 1 -> n")
