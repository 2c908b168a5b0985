"""Pretraining of a trunk by a feature teacher, on pictures without labels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from psearch.build import build
from psearch.data.loading import SceneLoader
from psearch.distill.distillation import Distillation
from psearch.models.trunk import TrunkNetwork
from psearch.models.weights import Source
from psearch.tasks.task import DatasetFacts, NetworkTask
from psearch.types import Batch, Benchmark, SearchOutput


class PretrainTask(NetworkTask):
    """A backbone whose feature maps are drawn to a teacher's: batch -> `distill/<term>`, and no other loss.

    What it ends with, `last.pt`, is what `compression.backbone.weights` of a person-search student of that
    size takes. facts: of no use here. compression: the node of that group; only its backbone is used.
    loading: augmentation, as `SceneLoader` takes it. start: see `NetworkTask`.
    """

    network: TrunkNetwork
    distillation: Distillation | None
    searches = False

    def __init__(
        self,
        *,
        facts: DatasetFacts,
        compression: Mapping[str, Any],
        loading: Mapping[str, Any],
        start: Source = None,
    ) -> None:
        super().__init__()
        self.loading, self.start = dict(loading), start
        self.network = TrunkNetwork(build(compression["backbone"]))
        self.criterion = nn.Identity()
        self.distillation = None

    def learn_from(self, distillation: Distillation) -> None:
        """The terms it is trained by. ValueError for one that reads more than feature maps."""
        for name, term in distillation.terms.items():
            if term.needs != {"features"}:
                raise ValueError(
                    f"distill={name} is no term on feature maps, and student=pretrain has nothing else: "
                    "choose features, cwd or pkd"
                )
        self.distillation = distillation

    @property
    def taught(self) -> bool:
        return self.distillation is not None

    @property
    def weights(self) -> dict[str, float]:
        """Loss name -> weight in the sum, at this point of the training."""
        return self._terms.weigh({})

    @property
    def provides(self) -> frozenset[str]:
        """Its feature maps."""
        return frozenset({"features"})

    @property
    def _terms(self) -> Distillation:
        if self.distillation is None:
            raise ValueError(
                "student=pretrain learns from a teacher alone: add teacher=timm distill=features"
            )
        return self.distillation

    def loader(self, benchmark: Benchmark, *, batch_size: int, seed: int, workers: int) -> SceneLoader:
        """Training batches of whole pictures."""
        return SceneLoader(
            benchmark.train,
            sides=benchmark.sides,
            train=True,
            batch_size=batch_size,
            seed=seed,
            workers=workers,
            **self.loading,
        )

    def at_epoch(self, epoch: float) -> None:
        """Schedules of the terms follow the training."""
        self._terms.at_epoch(epoch)

    def agreement(self, batch: Batch) -> dict[str, Tensor]:
        """Every term on a batch, as raw values."""
        return self.forward(batch)

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        nobody = [batch.images.new_zeros(0, 4) for _ in batch.images]
        output: SearchOutput = self.network(batch.images, lambda propose: nobody)
        losses: dict[str, Tensor] = self._terms(output, batch)
        return losses
