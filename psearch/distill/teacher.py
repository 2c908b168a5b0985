"""A trained network that may be asked, and cannot be changed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields

import torch
from torch import Tensor, nn

from psearch.types import Boxes, Pick, SearchOutput


@dataclass(frozen=True, eq=False)
class People:
    """A teacher's view of every labelled ground-truth box of the training split.

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

    name: its word in `conf/teacher`. fingerprint: of its weights. provides: fields of `SearchOutput` it was
    trained to fill. prototypes: (identities, d), the table its own identity loss ended with, if it has one.
    people: computes its view of the training people (cached by the caller).
    """

    def __init__(
        self,
        network: nn.Module,
        *,
        name: str,
        fingerprint: str,
        provides: frozenset[str],
        prototypes: Tensor | None = None,
        people: Callable[[], People],
    ) -> None:
        unknown = provides - {field.name for field in fields(SearchOutput)}
        assert not unknown, unknown
        self.network = network.eval().requires_grad_(False)
        self.name, self.fingerprint, self.provides = name, fingerprint, provides
        self.prototypes, self.people = prototypes, people

    @torch.no_grad()
    def observe(self, images: Tensor, boxes: Boxes) -> SearchOutput:
        """What it says of the same images (b, 3, h, w) at the student's boxes (input pixels); it computes no
        proposals of its own."""
        pick: Pick = lambda propose: boxes  # noqa: E731
        output: SearchOutput = self.network(images, pick)
        return output
