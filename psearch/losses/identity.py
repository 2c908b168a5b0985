"""The OIM loss and its memory (Xiao et al., CVPR 2017, section 3.2)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, normalize

from psearch import distributed
from psearch.types import UNLABELLED


class IdentityMemory(nn.Module):
    """A look-up table (LUT) with one row per labelled identity and a circular queue (CQ) of people
    without one. Reading (`logits`) is pure, writing (`update`) is a call of its own; table, queue and the
    queue's pointer are buffers, so a checkpoint holds all of it.

    temperature: logits are similarities divided by it (1/30 in the public PyTorch versions, 1/10 in the
    authors' Caffe code). momentum: share of the old row that an update keeps. queue: rows of the queue
    (5,000 for CUHK-SYSU, 500 for PRW).
    """

    table: Tensor
    queue: Tensor
    queue_ptr: Tensor
    initial_table: Tensor | None

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
        self.frozen, self.anchor_strength = False, 0.0
        self.register_buffer("table", torch.zeros(identities, size))
        self.register_buffer("queue", torch.zeros(queue, size))
        self.register_buffer("queue_ptr", torch.zeros((), dtype=torch.long))
        self.register_buffer("initial_table", None)

    def load_table(
        self, table: Tensor, *, frozen: bool, anchor_strength: float = 0.0, queue: bool = True
    ) -> None:
        """Start from a given table, such as a teacher's: (identities, size), unit rows.

        frozen: rows never change. anchor_strength: 0…1, after each update a row is moved this far back
        towards the given one. queue: False drops the circular queue. Raises ValueError when shapes differ.
        """
        if table.shape != self.table.shape:
            raise ValueError(
                f"the given table is {tuple(table.shape)}, the student's is {tuple(self.table.shape)} "
                "(identities, embedding): use the same data, and the teacher's student.network.embedding"
            )
        self.table.copy_(table)
        self.frozen, self.anchor_strength = frozen, anchor_strength
        self.initial_table = self.table.clone() if anchor_strength else None
        if not queue:
            self.queue = self.queue[:0]

    def logits(self, embeddings: Tensor) -> Tensor:
        """Embeddings (N, d), unit length -> (N, identities + queue), fp32 also under autocast."""
        with torch.autocast(embeddings.device.type, enabled=False):
            return embeddings.float() @ torch.cat([self.table, self.queue]).T / self.temperature

    def forward(self, embeddings: Tensor, ids: Tensor) -> Tensor:
        """OIM loss, mean over labelled rows: embeddings (N, d), ids (N,) identity or UNLABELLED."""
        known = ids != UNLABELLED
        part = distributed.mean_weight(int(known.sum()))
        if not known.any():
            return embeddings.sum() * 0.0
        return cross_entropy(self.logits(embeddings[known]), ids[known]) * part

    @torch.no_grad()
    def update(self, embeddings: Tensor, ids: Tensor) -> None:
        """Write embeddings (N, d) in order: labelled ones into their row, the others into the queue."""
        embeddings = embeddings.detach().float()
        if not self.frozen:
            self._update_table(embeddings[ids != UNLABELLED], ids[ids != UNLABELLED])
        self._enqueue(embeddings[ids == UNLABELLED])

    def _update_table(self, embeddings: Tensor, ids: Tensor) -> None:
        """Rows are updated one occurrence after the other; distinct identities side by side."""
        same = ids[:, None] == ids[None]
        turn = same.tril(-1).sum(dim=1)
        for round_ in range(int(turn.max()) + 1 if len(turn) else 0):
            now = turn == round_
            rows = self.momentum * self.table[ids[now]] + (1 - self.momentum) * embeddings[now]
            if self.initial_table is not None:
                initial = self.initial_table[ids[now]]
                rows = torch.lerp(normalize(rows, dim=1), initial, self.anchor_strength)
            self.table[ids[now]] = normalize(rows, dim=1)

    def _enqueue(self, embeddings: Tensor) -> None:
        size = len(self.queue)
        if size == 0 or len(embeddings) == 0:
            return
        kept = embeddings[-size:]
        skipped = len(embeddings) - len(kept)
        places = (self.queue_ptr + skipped + torch.arange(len(kept), device=kept.device)) % size
        self.queue[places] = kept
        self.queue_ptr.copy_((self.queue_ptr + len(embeddings)) % size)
