"""Training of a person-search network, with or without a teacher."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from psearch.build import build
from psearch.data.loading import SceneLoader
from psearch.distill.distillation import Distillation
from psearch.losses.criterion import SearchCriterion
from psearch.losses.guided import Guided
from psearch.losses.identity import IdentityMemory
from psearch.losses.proposals import ProposalLoss
from psearch.models.network import Network
from psearch.models.weights import Source
from psearch.sources import code_digest
from psearch.tasks.task import DatasetFacts, NetworkTask
from psearch.types import Batch, Benchmark, SearchOutput

PARTS = frozenset(
    {"features", "anchors", "objectness", "anchor_deltas", "box_logits", "box_deltas", "embeddings"}
)


class SearchTask(NetworkTask):
    """A student, its criterion and, beside them, an optional distillation: batch -> named raw losses.

    facts: of the data. compression: the node of that group (backbone, proposals, proposal_loss,
    region_sampler). network, memory: partials of `conf/student`. anchors: {count, sizes, aspects}. weights:
    of the losses. loading: augmentation, as `SceneLoader` takes it; cache: folder that keeps resized
    pictures, of any data. start: see `NetworkTask`.
    """

    criterion: SearchCriterion
    distillation: Distillation | None

    def __init__(
        self,
        *,
        facts: DatasetFacts,
        compression: Mapping[str, Any],
        network: Callable[..., Network],
        memory: Callable[..., IdentityMemory],
        anchors: Mapping[str, Any],
        weights: Mapping[str, float],
        loading: Mapping[str, Any],
        start: Source = None,
    ) -> None:
        super().__init__()
        self.loading, self.start = dict(loading), start
        missing = {"backbone", "proposals", "proposal_loss", "region_sampler"} - set(compression)
        if missing:
            raise ValueError(
                f"this compression size has no {', '.join(sorted(missing))}: it is for crops, choose another"
            )
        if not (anchors["sizes"] or facts.anchor_sizes):
            raise ValueError("the training split has no boxes to learn from: choose another data set")
        self.network = network(
            backbone=build(compression["backbone"]),
            anchor_sizes=anchors["sizes"] or facts.anchor_sizes,
            aspects=anchors["aspects"] or [facts.aspect],
            proposals=compression["proposals"],
        )
        proposal_loss: ProposalLoss = build(compression["proposal_loss"])
        self.criterion = SearchCriterion(
            memory(facts.identities, size=self.network.embedding_size),
            weights=weights,
            proposal_loss=proposal_loss,
            region_sampler=build(compression["region_sampler"]),
            guided=self.guided(proposal_loss),
            stages=self.network.stages,
            box_code=self.network.box_code,
        )
        self.distillation = None

    def guided(self, proposal_loss: ProposalLoss) -> Mapping[str, Guided]:
        """Further losses, of networks that look at a query: name -> loss."""
        return {}

    def look(self, batch: Batch) -> SearchOutput:
        """What the network says of a training batch."""
        output: SearchOutput = self.network(batch.images, self.criterion.pick(batch))
        return output

    def learn_from(self, distillation: Distillation) -> None:
        """Add what its teachers' terms ask; the network and its state dict stay what they are."""
        distillation.prepare(self.criterion.memory)
        self.distillation = distillation

    @property
    def weights(self) -> dict[str, float]:
        """Loss name -> weight in the sum, at this point of the training."""
        if self.distillation is None:
            return self.criterion.weights
        return self.distillation.weigh(self.criterion.weights)

    @property
    def provides(self) -> frozenset[str]:
        """Parts of its output that it was trained for, should it become a teacher."""
        return PARTS if self.criterion.weights["identity"] else PARTS - {"embeddings"}

    @property
    def prototypes(self) -> Tensor | None:
        """The identity table it ended with."""
        return self.criterion.memory.table if self.criterion.weights["identity"] else None

    def loader(self, benchmark: Benchmark, *, batch_size: int, seed: int, workers: int) -> SceneLoader:
        """Training batches of whole scenes."""
        return SceneLoader(
            benchmark.train,
            sides=benchmark.sides,
            train=True,
            batch_size=batch_size,
            seed=seed,
            workers=workers,
            **self.loading | {"cache": self.cache_directory(benchmark)},
        )

    def cache_directory(self, benchmark: Benchmark) -> Path | None:
        """Where pictures of this data, resized by this code, are kept, if at all."""
        cache = self.loading.get("cache")
        code = code_digest(["psearch.data.pictures", "psearch.data.transforms"], ("psearch.data",))
        return None if cache is None else Path(cache) / f"resized-{benchmark.train_fingerprint}-{code[:6]}"

    def at_epoch(self, epoch: float) -> None:
        """Schedules of distillation terms follow the training."""
        if self.distillation is not None:
            self.distillation.at_epoch(epoch)

    @property
    def taught(self) -> bool:
        """Whether some term teaches it."""
        return self.distillation is not None

    def agreement(self, batch: Batch) -> dict[str, Tensor]:
        """Every term on a batch, as raw values: how near the student is to its teachers there."""
        assert self.distillation is not None
        terms: dict[str, Tensor] = self.distillation(self.look(batch), batch)
        return terms

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        output = self.look(batch)
        losses: dict[str, Tensor] = self.criterion(output, batch)
        return losses | (self.distillation(output, batch) if self.distillation else {})

    def after_step(self) -> None:
        """The identity memory learns from the step that was just made."""
        self.criterion.after_step()
