"""The criterion of a re-identification network: classification of all training identities."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, normalize

from psearch import distributed
from psearch.types import UNLABELLED


class ReidCriterion(nn.Module):
    """Normalised softmax over one learnt prototype per identity (NormFace, Wang et al. 2017), with label
    smoothing.

    temperature: logits are cosines divided by it.
    """

    def __init__(
        self, identities: int, *, size: int, temperature: float = 1 / 16, smoothing: float = 0.05
    ) -> None:
        super().__init__()
        self.temperature, self.smoothing = temperature, smoothing
        self.prototypes = nn.Parameter(torch.randn(identities, size) * 0.05)
        self.weights = {"identity": 1.0}

    def forward(self, embeddings: Tensor, ids: Tensor) -> dict[str, Tensor]:
        """Embeddings (N, d), unit length, with their identities (N,)."""
        known = ids != UNLABELLED
        logits = embeddings[known].float() @ normalize(self.prototypes, dim=1).T / self.temperature
        loss = cross_entropy(logits, ids[known], label_smoothing=self.smoothing)
        return {"identity": loss * distributed.mean_weight(len(logits))}
