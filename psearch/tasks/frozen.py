"""A network that is given and not trained, so that it can teach: of torchreid, of timm, one's own."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from psearch.models.network import Network
from psearch.models.osnet import torchreid_network
from psearch.models.projection import Projected
from psearch.models.timm_features import TimmFeatures
from psearch.models.weights import Source, file_of, fit, read
from psearch.tasks.task import DatasetFacts, NetworkTask
from psearch.types import EVERYTHING

log = logging.getLogger(__name__)


class FrozenTask(NetworkTask):
    """A network as it is, with the weights of a file; its embeddings may be centred and projected.

    network: any `Network` with the parts of `SearchOutput` that it `provides`. checkpoint: a file of its
    weights, or of those of its `weighed` part; None for a network that brings its own. centre, dimensions:
    see `Projected`; None keeps all dimensions. facts, compression: of a recipe, and of no use here.
    ValueError for a part that `SearchOutput` does not have.
    """

    def __init__(
        self,
        *,
        facts: DatasetFacts,
        compression: Mapping[str, Any],
        network: Network,
        checkpoint: Source = None,
        provides: Sequence[str] = ("embeddings",),
        centre: bool = False,
        dimensions: int | None = None,
    ) -> None:
        super().__init__()
        if unknown := sorted(set(provides) - EVERYTHING):
            raise ValueError(f"provides={unknown}: choose from {', '.join(sorted(EVERYTHING))}")
        same = not centre and dimensions in (None, network.embedding_size)
        self.network = network if same else Projected(network, centre=centre, dimensions=dimensions)
        self.criterion = nn.Identity()
        self.checkpoint, self._provides = checkpoint, frozenset(provides)

    @property
    def provides(self) -> frozenset[str]:
        """Fields of `SearchOutput` that it fills."""
        return self._provides

    def begin(self) -> None:
        """Take the weights of the file. ValueError if it cannot be read or does not fit."""
        path = file_of(self.checkpoint)
        if path is None:
            self.network.begin()
            return
        what = f"checkpoint={path}"
        tensors = read(path, what).tensors
        spare = [name for name in tensors if name.startswith(getattr(self.bare, "spare", ()))]
        fit(getattr(self.bare, "weighed", self.bare), tensors, what=what, spare=spare)

    @property
    def bare(self) -> Network:
        """The network without the projection of its embeddings."""
        return self.network.network if isinstance(self.network, Projected) else self.network

    @property
    def needs_people(self) -> bool:
        """Whether `settle` must be given features of the training people."""
        return isinstance(self.network, Projected)

    def settle(self, features: Tensor) -> None:
        """Choose centre and directions by the bare network's embeddings (n, d) of the training boxes."""
        assert isinstance(self.network, Projected)
        kept = self.network.fit(features)
        log.info("%d of %d dimensions keep %.1f %% of the variance of %d boxes",
                 self.network.embedding_size, features.shape[1], 100 * kept, len(features))  # fmt: skip


class TorchreidTask(FrozenTask):
    """A re-identification network of torchreid's zoo.

    model: its name there. checkpoint: its file. crop: (height, width) in pixels a box is resized to. centre,
    dimensions: see `FrozenTask`.
    """

    def __init__(
        self,
        *,
        facts: DatasetFacts,
        compression: Mapping[str, Any],
        model: str,
        checkpoint: Source,
        crop: Sequence[int] = (256, 128),
        centre: bool = True,
        dimensions: int | None = None,
    ) -> None:
        height, width = crop
        super().__init__(
            facts=facts,
            compression=compression,
            network=torchreid_network(model, (height, width)),
            checkpoint=checkpoint,
            centre=centre,
            dimensions=dimensions,
        )


class TimmTask(FrozenTask):
    """A network of timm as a teacher of feature maps, and of embeddings: means of its deepest map in a box.

    name, weights, taps, image_scale, options: see `TimmFeatures`. centre, dimensions: see `FrozenTask`.
    """

    def __init__(
        self,
        *,
        facts: DatasetFacts,
        compression: Mapping[str, Any],
        name: str,
        weights: Source = "timm",
        taps: Mapping[str, int | Sequence[int]] | None = None,
        image_scale: float = 1.0,
        centre: bool = True,
        dimensions: int | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> None:
        network = TimmFeatures(
            name=name, weights=weights, taps=taps, image_scale=image_scale, options=options
        )
        super().__init__(
            facts=facts,
            compression=compression,
            network=network,
            provides=("features", "embeddings"),
            centre=centre,
            dimensions=dimensions,
        )
