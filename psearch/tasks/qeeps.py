"""Training of a query-guided network on pairs of scenes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from psearch.data.loading import SceneLoader
from psearch.data.pairs import PairLoader
from psearch.losses.guided import Guided, QueryObjectness, similarity
from psearch.losses.identity import IdentityMemory
from psearch.losses.proposals import ProposalLoss
from psearch.models.qeeps import QEEPSNetwork
from psearch.tasks.search import SearchTask
from psearch.tasks.task import DatasetFacts
from psearch.types import Batch, Benchmark, SearchOutput

LOSS_OF = {"qrpn": "qrpn_object", "qsim": "similarity"}
"""Part -> the loss that is its own."""


class QEEPSTask(SearchTask):
    """As `SearchTask`, on pairs (a query's scene, a scene to search). With none of its parts it is one, on
    the same batches: the student `oim`.

    qsse, qrpn, qsim: see `QEEPSNetwork`. start: null, or {checkpoint, fingerprint} of a trained OIM network
    that the training starts from, as the authors did. others: see `QueryObjectness`. negatives: see
    `PairLoader`.
    """

    network: QEEPSNetwork

    def __init__(
        self,
        *,
        facts: DatasetFacts,
        compression: Mapping[str, Any],
        network: Callable[..., QEEPSNetwork],
        memory: Callable[..., IdentityMemory],
        anchors: Mapping[str, Any],
        weights: Mapping[str, float],
        loading: Mapping[str, Any],
        qsse: bool = True,
        qrpn: bool = True,
        qsim: bool = True,
        negatives: float = 0.25,
        others: float = 0.25,
        start: Mapping[str, str] | str | None = None,
    ) -> None:
        parts = {"qsse": qsse, "qrpn": qrpn, "qsim": qsim}
        idle = {LOSS_OF[part] for part in LOSS_OF if not parts[part]}
        self._others, self._negatives = others, negatives
        super().__init__(
            facts=facts,
            compression=compression,
            network=partial(network, **parts),
            memory=memory,
            anchors=anchors,
            weights={name: weight for name, weight in weights.items() if name not in idle},
            loading=loading,
            start=start,
        )

    def guided(self, proposal_loss: ProposalLoss) -> Mapping[str, Guided]:
        """The losses of the parts there are."""
        losses: dict[str, Guided] = {
            "qrpn_object": QueryObjectness(proposal_loss, others=self._others),
            "similarity": similarity,
        }
        return {LOSS_OF[part]: losses[LOSS_OF[part]] for part in LOSS_OF if part in self.network.parts}

    def look(self, batch: Batch) -> SearchOutput:
        """What the network says of each scene to its query."""
        output: SearchOutput = self.network(batch.images, self.criterion.pick(batch), query=batch.query)
        return output

    def loader(self, benchmark: Benchmark, *, batch_size: int, seed: int, workers: int) -> SceneLoader:
        """Pairs of scenes; without any part that looks at a query, whole scenes as for `oim`."""
        if not self.network.parts:
            return super().loader(benchmark, batch_size=batch_size, seed=seed, workers=workers)
        options = self.loading | {"cache": self.cache_directory(benchmark)}
        if options.pop("group_by_aspect", False):
            raise ValueError("pairs are not grouped by aspect: set student.loading.group_by_aspect=false")
        return PairLoader(
            benchmark.train,
            sides=benchmark.sides,
            batch_size=batch_size,
            seed=seed,
            workers=workers,
            negatives=self._negatives,
            **options,
        )

    @property
    def additions(self) -> tuple[str, ...]:
        """What it has and OIM has not."""
        return self.network.parts

    @property
    def startable(self) -> str:
        """A trained OIM network, as the authors started from one."""
        return "student=oim"
