"""Files as the public programs of SeqNet and NAE write them, for tests: names and shapes from psearch's own
importer (that these are theirs too, `experiments/parity/compare.py` shows), numbers from seeds."""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor

from psearch.models.norm_aware import NormAwareHead
from psearch.models.oim import OIMNetwork
from psearch.models.resnet import ResNetC4
from psearch.models.seqnet import SeqNetwork
from psearch.runs.importers.seqnet import ANCHORS, ASPECTS, BOX_CODE, BUDGET, RENAMED, SIZES
from tests import seeded

IDENTITIES, QUEUE = 60, 40


def shapes_of(kind: str, *, depth: int) -> list[tuple[str, tuple[int, ...]]]:
    """(name, shape) of every tensor of such a file."""
    make = SeqNetwork if kind == "seqnet" else partial(OIMNetwork, head=NormAwareHead)
    with torch.device("meta"):
        network = make(
            ResNetC4(depth=depth),
            anchor_sizes=SIZES,
            aspects=ASPECTS,
            proposals=BUDGET,
            box_code=BOX_CODE,
            geometry="torchvision",
        )
    ours = {name: tuple(value.shape) for name, value in network.state_dict().items() if name not in ANCHORS}
    ours |= {"memory.table": (IDENTITIES, 256), "memory.queue": (QUEUE, 256)}
    return [(_theirs(name), shape) for name, shape in ours.items()]


def tensors_of(kind: str, *, depth: int, seed: int = 1) -> dict[str, Tensor]:
    """The tensors of such a file."""
    return seeded.state(shapes_of(kind, depth=depth), seed=seed)


def _theirs(ours: str) -> str:
    return next(theirs + ours.removeprefix(own) for own, theirs in RENAMED if ours.startswith(own))
