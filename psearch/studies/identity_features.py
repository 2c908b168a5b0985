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
from psearch.files import write_arrays
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


def people_of(
    network: nn.Module, benchmark: Benchmark, *, directory: Path, teacher: str, device: torch.device
) -> IdentityFeatures:
    """`describe_people`, kept in the teacher's directory for every student that asks.

    Raises ValueError if the file there is damaged, or was made from other data or by another network.
    """
    path = directory / f"people-{benchmark.train_fingerprint[:12]}.npz"
    if not path.exists():
        people = describe_people(network, benchmark, teacher=teacher, device=device)
        arrays = {"embeddings": people.embeddings.numpy(), "ids": people.ids.numpy()}
        labels = {"benchmark": np.array(people.benchmark), "teacher": np.array(people.teacher)}
        write_arrays(path, arrays | labels)
        return people
    try:
        with np.load(path, allow_pickle=False) as kept:
            people = IdentityFeatures(
                torch.from_numpy(kept["embeddings"]), torch.from_numpy(kept["ids"]),
                str(kept["benchmark"]), str(kept["teacher"]),
            )  # fmt: skip
    except Exception as error:  # zipfile, zlib and numpy each raise their own
        raise ValueError(f"{path} is damaged ({error}): remove it, it will be made again") from error
    if (people.benchmark, people.teacher) != (benchmark.train_fingerprint, teacher):
        raise ValueError(
            f"{path} was made by network {people.teacher} from data {people.benchmark}, not by {teacher} "
            f"from {benchmark.train_fingerprint}: remove it, it will be made again"
        )
    return people
