"""A frozen network that returns `SearchOutput` at given boxes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol, cast

import torch
from torch import Tensor, nn

from psearch.types import EVERYTHING, AnchorGrid, Boxes, Pick, SearchOutput, Tap


class NetworkSpec(Protocol):
    """The facts about a network that a term depends on."""

    @property
    def taps(self) -> Mapping[str, Tap]: ...
    @property
    def anchor_grid(self) -> AnchorGrid | None: ...
    @property
    def embedding_size(self) -> int: ...


@dataclass(frozen=True, eq=False)
class IdentityFeatures:
    """Teacher embeddings of all labelled ground-truth boxes of the training split.

    embeddings: (n, d), unit length. ids: (n,) dense identities. benchmark: fingerprint of the data.
    teacher: fingerprint of the network.
    """

    embeddings: Tensor
    ids: Tensor
    benchmark: str
    teacher: str


class Teacher:
    """A network frozen by construction: no `nn.Module`, so nothing that holds it can train it, save it or
    wrap it for several GPUs.

    name: its choice in `conf/teacher`. fingerprint: of its weights. provides: fields of `SearchOutput` it was
    trained to fill. prototypes: (identities, d), the table its own identity loss ended with, if it has one.
    identity_features: computes its embeddings of the training people (cached by the caller).
    """

    def __init__(
        self,
        network: nn.Module,
        *,
        name: str,
        fingerprint: str,
        provides: frozenset[str],
        prototypes: Tensor | None = None,
        identity_features: Callable[[], IdentityFeatures],
    ) -> None:
        unknown = provides - EVERYTHING
        assert not unknown, unknown
        self.network = network.eval().requires_grad_(False)
        self.name, self.fingerprint, self.provides = name, fingerprint, provides
        self.prototypes, self.identity_features = prototypes, identity_features

    @property
    def spec(self) -> NetworkSpec:
        """The facts about its network that terms depend on."""
        return cast(NetworkSpec, self.network)

    @torch.no_grad()
    def observe(self, images: Tensor, boxes: Boxes, wanted: frozenset[str] = EVERYTHING) -> SearchOutput:
        """Its output on the same images (b, 3, h, w) at the student's boxes (input pixels); it computes no
        proposals, and nothing that none of the `wanted` fields needs."""
        pick: Pick = lambda propose: boxes  # noqa: E731
        output: SearchOutput = self.network(images, pick, wanted)
        return output
