"""Random draws without hidden state: a draw depends on what it is for, the seed, the epoch and an index."""

from __future__ import annotations

import zlib

import numpy as np


def draws(purpose: str, seed: int, epoch: int, index: int = 0) -> np.random.Generator:
    """A generator of its own for one purpose, e.g. `draws("flip", seed, epoch, scene)`.

    The same arguments always give the same numbers, on every machine and in every worker process.
    ValueError for a negative seed, epoch or index.
    """
    # The key has a fixed length because SeedSequence treats (1, 2) and (1, 2, 0) alike.
    return np.random.default_rng((zlib.crc32(purpose.encode()), seed, epoch, index))
