"""The OIM loss and its memory (Xiao et al., CVPR 2017, section 3.2)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, normalize

from psearch import distributed
from psearch.types import UNLABELLED


class IdentityMemory(nn.Module):
    """A look-up table (LUT) with one row per labelled identity and a circular queue (CQ) of people
    without one. Reading (`logits`) is pure, writing (`remember`) is a call of its own; table, queue and the
    queue's head are buffers, so a checkpoint holds all of it.

    temperature: logits are similarities divided by it (1/30 in the public PyTorch versions, 1/10 in the
    authors' Caffe code). momentum: share of the old row that an update keeps. queue: rows of the queue
    (5,000 for CUHK-SYSU, 500 for PRW).
    """

    table: Tensor
    waiting: Tensor
    head: Tensor
    anchor: Tensor | None

    def __init__(
        self,
        identities: int,
        *,
        size: int,
        temperature: float = 1 / 30,
        momentum: float = 0.5,
        queue: int = 500,
    ) -> None:
        super().__init__()
        self.temperature, self.momentum = temperature, momentum
        self.frozen, self.pull = False, 0.0
        self.register_buffer("table", torch.zeros(identities, size))
        self.register_buffer("waiting", torch.zeros(queue, size))
        self.register_buffer("head", torch.zeros((), dtype=torch.long))
        self.register_buffer("anchor", None)

    def adopt(self, table: Tensor, *, frozen: bool, pull: float = 0.0, queue: bool = True) -> None:
        """Start from a table made by somebody else: (identities, size), unit rows.

        frozen: rows never change. pull: 0…1, after each update a row is moved this far back towards the
        adopted one. queue: False drops the circular queue. Raises ValueError when shapes differ.
        """
        if table.shape != self.table.shape:
            raise ValueError(
                f"the adopted table is {tuple(table.shape)}, the student's is {tuple(self.table.shape)} "
                "(identities, embedding): use the same data, and the teacher's student.network.embedding"
            )
        self.table.copy_(table)
        self.frozen, self.pull = frozen, pull
        self.anchor = self.table.clone() if pull else None
        if not queue:
            self.waiting = self.waiting[:0]

    def logits(self, embeddings: Tensor) -> Tensor:
        """Embeddings (N, d), unit length -> (N, identities + queue), fp32 also under autocast."""
        with torch.autocast(embeddings.device.type, enabled=False):
            return embeddings.float() @ torch.cat([self.table, self.waiting]).T / self.temperature

    def forward(self, embeddings: Tensor, ids: Tensor) -> Tensor:
        """OIM loss, mean over labelled rows: embeddings (N, d), ids (N,) identity or UNLABELLED."""
        known = ids != UNLABELLED
        part = distributed.mean_weight(int(known.sum()))
        if not known.any():
            return embeddings.sum() * 0.0
        return cross_entropy(self.logits(embeddings[known]), ids[known]) * part

    @torch.no_grad()
    def remember(self, embeddings: Tensor, ids: Tensor) -> None:
        """Write embeddings (N, d) in order: labelled ones into their row, the others into the queue."""
        embeddings = embeddings.detach().float()
        if not self.frozen:
            self._update(embeddings[ids != UNLABELLED], ids[ids != UNLABELLED])
        self._enqueue(embeddings[ids == UNLABELLED])

    def _update(self, embeddings: Tensor, ids: Tensor) -> None:
        """Rows are updated one occurrence after the other; distinct identities side by side."""
        same = ids[:, None] == ids[None]
        turn = same.tril(-1).sum(dim=1)
        for round_ in range(int(turn.max()) + 1 if len(turn) else 0):
            now = turn == round_
            rows = self.momentum * self.table[ids[now]] + (1 - self.momentum) * embeddings[now]
            if self.anchor is not None:
                rows = torch.lerp(normalize(rows, dim=1), self.anchor[ids[now]], self.pull)
            self.table[ids[now]] = normalize(rows, dim=1)

    def _enqueue(self, embeddings: Tensor) -> None:
        size = len(self.waiting)
        if size == 0 or len(embeddings) == 0:
            return
        kept = embeddings[-size:]
        skipped = len(embeddings) - len(kept)
        places = (self.head + skipped + torch.arange(len(kept), device=kept.device)) % size
        self.waiting[places] = kept
        self.head.copy_((self.head + len(embeddings)) % size)
