"""Small networks and batches that tests of several rooms share."""

from __future__ import annotations

from typing import Any

import torch

from psearch.losses.criterion import SearchCriterion
from psearch.losses.identity import IdentityMemory
from psearch.losses.proposals import ProposalLoss
from psearch.losses.regions import RegionSampler
from psearch.models.compact import Compact
from psearch.models.oim import OIMNetwork
from psearch.models.qeeps import QEEPSNetwork
from psearch.types import UNLABELLED, Batch, QueryBatch


def network(seed: int = 0, *, embedding: int = 16, width: int = 16) -> OIMNetwork:
    """A person-search network of a few ten thousand parameters."""
    torch.manual_seed(seed)
    return OIMNetwork(
        Compact(widths=[16, 16, 16, width, 2 * width], strips=2),
        anchor_sizes=[16, 24],
        aspects=[2.0],
        proposals={"pre_nms_top_n": 60, "post_nms_top_n": 12, "nms_thresh": 0.6},
        embedding=embedding,
    )


def qeeps(seed: int = 0, *, embedding: int = 16, **parts: Any) -> QEEPSNetwork:
    """The same network, guided by a query; parts: qsse, qrpn, qsim, and what they start from."""
    torch.manual_seed(seed)
    return QEEPSNetwork(
        Compact(widths=[16, 16, 16, 16, 32], strips=2),
        anchor_sizes=[16, 24],
        aspects=[2.0],
        proposals={"pre_nms_top_n": 60, "post_nms_top_n": 12, "nms_thresh": 0.6},
        embedding=embedding,
        **parts,
    )


def query_batch(batch: Batch, query: Batch | None = None) -> QueryBatch:
    """The first person of each scene, looked for in a batch; shown in scenes of `query`, or in its own."""
    shown = query or batch
    boxes = torch.stack([boxes[0] for boxes in shown.boxes])
    ids = torch.stack([ids[0] for ids in shown.ids])
    return QueryBatch(shown.images, shown.sizes, shown.scales, boxes, ids)


def criterion(identities: int = 5, *, embedding: int = 16, queue: int = 8) -> SearchCriterion:
    memory = IdentityMemory(identities, size=embedding, queue=queue)
    return SearchCriterion(
        memory,
        weights={},
        proposal_loss=ProposalLoss(batch_size_per_image=32),
        region_sampler=RegionSampler(8),
    )


def batch(seed: int = 0, *, people: tuple[int, ...] = (2, 3), identities: int = 5) -> Batch:
    """Noise with boxes; the first person of every scene has an identity, every third has none."""
    generator = torch.Generator().manual_seed(seed)
    boxes, ids = [], []
    for count in people:
        corner = torch.rand(count, 2, generator=generator) * torch.tensor([60.0, 20.0])
        size = torch.rand(count, 1, generator=generator) * 12 + torch.tensor([[10.0, 24.0]])
        boxes.append(torch.cat([corner, corner + size], dim=1))
        names = torch.randint(0, identities, (count,), generator=generator)
        names[2::3] = UNLABELLED
        ids.append(names)
    return Batch(
        images=torch.randn(len(people), 3, 64, 96, generator=generator),
        sizes=torch.tensor([[64, 96]] * len(people)),
        scales=torch.ones(len(people)),
        boxes=boxes,
        ids=ids,
        ignore=[torch.zeros(count, dtype=torch.bool) for count in people],
        scenes=list(range(len(people))),
    )
