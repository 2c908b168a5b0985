"""Training of a re-identification network on ground-truth crops."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor
from torch.nn.functional import normalize

from psearch.build import build
from psearch.data.crop_loading import CropLoader
from psearch.data.crops import CropBatch, training_crops
from psearch.losses.reid import ReidCriterion
from psearch.models.reid import ReidNetwork
from psearch.models.weights import Source
from psearch.tasks.task import DatasetFacts, NetworkTask
from psearch.types import Benchmark


class ReidTask(NetworkTask):
    """A re-identification network and its criterion: crops -> named raw losses.

    facts: of the data. compression: the node of that group; only its backbone is used. network, criterion:
    partials of `conf/student/reid.yaml`. loading: augmentation, as `CropLoader` takes it. start: see
    `NetworkTask`.
    """

    network: ReidNetwork
    criterion: ReidCriterion

    def __init__(
        self,
        *,
        facts: DatasetFacts,
        compression: Mapping[str, Any],
        network: Callable[..., ReidNetwork],
        criterion: Callable[..., ReidCriterion],
        loading: Mapping[str, Any],
        start: Source = None,
    ) -> None:
        super().__init__()
        self.loading, self.start = dict(loading), start
        self.network = network(backbone=build(compression["backbone"]))
        self.criterion = criterion(facts.identities, size=self.network.embedding_size)

    @property
    def weights(self) -> dict[str, float]:
        """Loss name -> weight in the sum."""
        return self.criterion.weights

    @property
    def provides(self) -> frozenset[str]:
        """It says who, and nothing else."""
        return frozenset({"embeddings"})

    @property
    def prototypes(self) -> Tensor:
        """The identity table it ended with: (identities, d), unit rows."""
        return normalize(self.criterion.prototypes.detach(), dim=1)

    def loader(self, benchmark: Benchmark, *, batch_size: int, seed: int, workers: int) -> CropLoader:
        """Training batches of person crops; they lie in memory, so `workers` would only be in the way."""
        crops = training_crops(benchmark, size=self.network.crop)
        return CropLoader(crops, batch_size=batch_size, seed=seed, **self.loading)

    def forward(self, batch: CropBatch) -> dict[str, Tensor]:
        embeddings = self.network.describe(batch.images)
        losses: dict[str, Tensor] = self.criterion(embeddings, batch.ids)
        return losses
