"""The interface of every network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from psearch.types import EVERYTHING, MEAN, STD, AnchorGrid, Pick, SearchOutput, Tap

PLAIN = (1.0, 1.0, 1.0, 1.0)
"""The box code of a network whose layers give plain deltas."""


class Network(nn.Module):
    """Images (b, 3, h, w), normalised, and a `pick` that decides which boxes are described -> `SearchOutput`.
    `wanted` names the parts of it that will be read: what none of them needs is not computed, and is None.

    embedding_size: length of an identity embedding. detects: it proposes boxes itself.
    budget: boxes per image that a search describes at most; the typical few if it does not detect.
    stages: how often it classifies and moves boxes; all but the last fill `SearchOutput.stages`. box_code:
    what the four box deltas are multiplied by in a loss (`box_deltas` themselves are plain).
    """

    embedding_size: int
    detects: bool = True
    budget: int = 4
    stages: int = 1
    box_code: tuple[float, ...] = PLAIN

    @property
    def query_conditioned(self) -> Any:
        """What encodes queries and scenes apart and matches them, for a network whose output depends on the
        query; see `psearch.evaluation.pairwise_inference.QueryConditioned`. None: embeddings alone are
        compared."""
        return None

    @property
    def taps(self) -> Mapping[str, Tap]:
        """Feature maps of the scene that it publishes, by name."""
        return {}

    @property
    def anchor_grid(self) -> AnchorGrid | None:
        """The anchors of its proposals, if it proposes."""
        return None

    def begin(self) -> None:
        """Asked of a network whose training starts: its backbone takes its first weights."""
        backbone = getattr(self, "backbone", None)
        if backbone is not None:
            backbone.begin()

    def forward(self, images: Tensor, pick: Pick, wanted: frozenset[str] = EVERYTHING) -> SearchOutput:
        raise TypeError(f"{type(self).__name__} defines no forward")


class Renormalise(nn.Module):
    """Images as psearch normalises them -> as a network was trained on them: (b, 3, h, w). mean, std: of the
    pixels in 0..1 that it was trained on; the images themselves if these are psearch's own."""

    gain: Tensor
    offset: Tensor

    def __init__(self, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        self.same = (tuple(mean), tuple(std)) == (MEAN, STD)
        own_mean, own_std, their_mean, their_std = (torch.tensor(each) for each in (MEAN, STD, mean, std))
        self.register_buffer("gain", (own_std / their_std)[:, None, None], persistent=False)
        self.register_buffer("offset", ((own_mean - their_mean) / their_std)[:, None, None], persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        return images if self.same else images * self.gain + self.offset
