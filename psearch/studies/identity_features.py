"""Teacher embeddings of all labelled training boxes, kept as a file."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import normalize
from tqdm import tqdm

from psearch.data.loading import SceneLoader
from psearch.distill.teacher import IdentityFeatures
from psearch.files import kept, read_arrays, write_arrays
from psearch.sources import code_digest
from psearch.types import Batch, Benchmark, Pick

log = logging.getLogger(__name__)


@torch.inference_mode()
def describe_people(
    network: nn.Module, benchmark: Benchmark, *, teacher: str, device: torch.device
) -> IdentityFeatures:
    """Embeddings of all labelled training boxes, mean of the picture and its mirror image, unit length."""
    loader = SceneLoader(benchmark.train, batch_size=8, sides=benchmark.sides)
    network.eval()
    embeddings, ids = [], []
    for batch in tqdm(loader, "describing people", disable=None, leave=False):
        batch = batch.to(device)
        both = _embed(network, batch) + _embed(network, _mirrored(batch))
        known = [own[(own >= 0) & ~ignore] for own, ignore in zip(batch.ids, batch.ignore, strict=True)]
        embeddings.append(normalize(both, dim=1).cpu())
        ids.append(torch.cat(known).cpu())
    return IdentityFeatures(torch.cat(embeddings), torch.cat(ids), benchmark.train_fingerprint, teacher)


def _embed(network: nn.Module, batch: Batch) -> Tensor:
    everyone = zip(batch.boxes, batch.ids, batch.ignore, strict=True)
    boxes = [own[(ids >= 0) & ~ignore] for own, ids, ignore in everyone]
    pick: Pick = lambda propose: boxes  # noqa: E731
    embeddings: Tensor = network(batch.images, pick).embeddings
    return embeddings


def _mirrored(batch: Batch) -> Batch:
    width = batch.images.shape[-1]
    boxes = [torch.stack([width - b[:, 2], b[:, 1], width - b[:, 0], b[:, 3]], dim=1) for b in batch.boxes]
    return Batch(
        batch.images.flip(-1), batch.sizes, batch.scales, boxes, batch.ids, batch.ignore, batch.scenes
    )


def identity_features(
    network: nn.Module, benchmark: Benchmark, *, directory: Path, teacher: str, device: torch.device
) -> IdentityFeatures:
    """`describe_people`, kept in the teacher's directory for every student that wants it.

    The file's name holds the digest of this code; a file that is damaged, or was made from other data or by
    other weights (teacher: their digest), is made again.
    """

    def read(path: Path) -> IdentityFeatures:
        arrays = read_arrays(path, ("embeddings", "ids", "benchmark", "teacher"))
        made_from = str(arrays["benchmark"]), str(arrays["teacher"])
        if made_from != (benchmark.train_fingerprint, teacher):
            raise ValueError(f"made from data {made_from[0]} by weights {made_from[1]}")
        tables = torch.from_numpy(arrays["embeddings"]), torch.from_numpy(arrays["ids"])
        return IdentityFeatures(*tables, *made_from)

    def write(path: Path, features: IdentityFeatures) -> None:
        tables = {"embeddings": features.embeddings.numpy(), "ids": features.ids.numpy()}
        made_from = {"benchmark": np.array(features.benchmark), "teacher": np.array(features.teacher)}
        write_arrays(path, tables | made_from)

    def make() -> IdentityFeatures:
        return describe_people(network, benchmark, teacher=teacher, device=device)

    path = directory / f"people-{benchmark.train_fingerprint[:12]}-{code_digest([__name__])[:6]}.npz"
    return kept(path, make, write=write, read=read)
