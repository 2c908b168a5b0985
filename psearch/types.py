"""The types that all rooms share: scenes, batches and the output of a network.

Boxes are xyxy everywhere, in pixels, as float32. "Original pixels" are those of the picture as it
lies on disk; "input pixels" those of the resized and padded tensor a network sees.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

UNLABELLED = -1
"""Identity of a person without an identity label."""

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""ImageNet's mean and deviation per channel, of pixels in 0..1: how they are normalised for every network."""

Boxes = list[Tensor]
"""One (n, 4) tensor per image, xyxy, input pixels."""

Propose = Callable[[], Boxes]
"""Computes the network's proposals; not called, it costs nothing."""

Pick = Callable[[Propose], Boxes]
"""Decides at which boxes the network computes logits, deltas and embeddings: training samples, a gallery
takes the proposals (`lambda propose: propose()`), a query and a teacher have their boxes given."""


@dataclass(frozen=True)
class StagedPick:
    """A pick for networks whose proposals come from a stage that describes boxes itself (SeqNet): `first`
    decides which boxes that stage describes, `last` which ones the last stage does. A network of one stage
    calls it like any pick, and sees `last` alone."""

    first: Pick
    last: Pick

    def __call__(self, propose: Propose) -> Boxes:
        return self.last(propose)


@dataclass(frozen=True, eq=False)
class Scene:
    """One whole picture and the people in it.

    boxes: (n, 4) float32, xyxy, original pixels, clipped to the picture.
    ids: (n,) int64; dense 0..N-1 in a training split, any number >= 0 elsewhere, or UNLABELLED.
    ignore: (n,) bool; True: neither a target nor an error for the detector.
    """

    name: str
    height: int
    width: int
    boxes: np.ndarray
    ids: np.ndarray
    ignore: np.ndarray
    camera: int = 0


@dataclass(frozen=True, eq=False)
class Query:
    """One search: a person in a scene, and the scenes to search.

    scene: index into the split's scenes. box: (4,) float32, xyxy, original pixels.
    gallery: (g,) int64 indices into the split's scenes, in protocol order; it may list a scene twice
    where the protocol file does.
    """

    scene: int
    box: np.ndarray
    identity: int
    gallery: np.ndarray


@dataclass(frozen=True, eq=False)
class Split:
    """Scenes in a fixed order, a way to read them, and the searches in them.

    read: index -> (h, w, 3) uint8 RGB in original pixels; must be picklable for loader workers.
    gallery: size or name of a published alternative -> the searches in galleries of that kind, perhaps of
    some queries only (ValueError if there is none such); None: `queries` is all the data set says.
    """

    name: str
    scenes: Sequence[Scene]
    read: Callable[[int], np.ndarray]
    queries: Sequence[Query] = ()
    gallery: Callable[[int | str], Sequence[Query]] | None = None


@dataclass(frozen=True, eq=False)
class Benchmark:
    """A data set with its splits. `val` is for tuning; `test` is looked at once, at the end.

    identities: number of labelled training identities. fingerprint: hex digest of everything that
    decides pixels, boxes, ids, queries and galleries. sides: (shorter, longer) side in pixels a scene
    is resized to fit before a network sees it; None keeps its size. gallery_size: scenes per search,
    -1 for all of them. train_fingerprint: digest of what a network is trained on, `train` and `sides`, so
    that other queries or galleries need no other teacher; by default that of everything.
    """

    name: str
    fingerprint: str
    identities: int
    train: Split
    val: Split | None
    test: Split
    sides: tuple[int, int] | None = None
    gallery_size: int = -1
    train_fingerprint: str = ""

    def __post_init__(self) -> None:
        if not self.train_fingerprint:
            digest = hashlib.sha256(f"{self.fingerprint} {self.sides}".encode()).hexdigest()
            object.__setattr__(self, "train_fingerprint", digest[:16])


@dataclass(frozen=True, eq=False)
class QueryBatch:
    """One query image and box per scene of a batch: the person to find there, in a whole scene.

    images: (b, 3, h', w') float32; h' and w' may differ from the batch's. sizes, scales: as in `Batch`.
    boxes: (b, 4) xyxy, input pixels of the query images. ids: (b,) identities.
    """

    images: Tensor
    sizes: Tensor
    scales: Tensor
    boxes: Tensor
    ids: Tensor

    def to(self, device: torch.device | str) -> QueryBatch:
        """The same on another device."""
        return QueryBatch(*(getattr(self, f.name).to(device, non_blocking=True) for f in fields(self)))

    def pin_memory(self) -> QueryBatch:
        """See `Batch.pin_memory`."""
        return replace(self, images=self.images.pin_memory())


@dataclass(frozen=True, eq=False)
class Batch:
    """Scenes as a network sees them: resized, flipped, normalised, padded at the right and bottom.

    images: (b, 3, h, w) float32. sizes: (b, 2) height and width before padding. scales: (b,) input
    pixels per original pixel. boxes, ids, ignore: per image, input pixels. scenes: indices into the split.
    query: the person to find in each scene, for networks that are trained on pairs.
    """

    images: Tensor
    sizes: Tensor
    scales: Tensor
    boxes: Boxes
    ids: list[Tensor]
    ignore: list[Tensor]
    scenes: list[int]
    query: QueryBatch | None = None

    def to(self, device: torch.device | str) -> Batch:
        """The same batch on another device; lists are moved element by element."""

        def move(value: Any) -> Any:
            if isinstance(value, Tensor):
                return value.to(device, non_blocking=True)
            if isinstance(value, QueryBatch):
                return value.to(device)
            if isinstance(value, list) and value and isinstance(value[0], Tensor):
                return [part.to(device, non_blocking=True) for part in value]
            return value

        return replace(self, **{f.name: move(getattr(self, f.name)) for f in fields(self)})

    def pin_memory(self) -> Batch:
        """What a `DataLoader` calls for faster copies to a GPU."""
        query = None if self.query is None else self.query.pin_memory()
        return replace(self, images=self.images.pin_memory(), query=query)


class Tap(NamedTuple):
    """A named inner feature map a network publishes: its channels and its stride in input pixels."""

    channels: int
    stride: int


class AnchorGrid(NamedTuple):
    """The anchors a network's proposals start from: sizes (square roots of areas, input pixels), aspects
    (height over width), all of them at every `stride` input pixels. corner: rounded to whole pixels and
    centred at the corner of a cell, as torchvision has them, instead of at its centre."""

    sizes: tuple[float, ...]
    aspects: tuple[float, ...]
    stride: int
    corner: bool = False


@dataclass(frozen=True, eq=False)
class Stage:
    """What a stage before the last one computed: per image its boxes (n, 4), and for the rows that follow
    them box_logits (N, 2) and box_deltas (N, 4), as in `SearchOutput`."""

    boxes: Boxes
    box_logits: Tensor
    box_deltas: Tensor


@dataclass(frozen=True, eq=False)
class SearchOutput:
    """What a network computes of a batch of b images; a part it does not have is None.

    features: tap name -> (b, c, h, w).
    anchors: (a, 4), xyxy, input pixels, the same for every image of the batch.
    objectness: (b, a) logits; anchor_deltas: (b, a, 4) in the code of `psearch.boxes.encode`.
    proposals: per image (m, 4), detached; None if `pick` did not call for them.
    boxes: per image (n, 4), what `pick` returned; the rows below follow them, N = sum of n.
    box_logits: (N, 2), background then person; box_deltas: (N, 4) relative to `boxes`;
    embeddings: (N, d), unit length. scores: (N,) probability of a person in use, for a network that takes it
    from elsewhere than `box_logits`. stages: what the stages before the last one computed for training, first
    one first.

    What depends on a query, one per image, and is None without one:
    query_objectness: (b, a) logits, "the query's person is here". query_embeddings: (b, d), unit length.
    similarity: (N,) logits, "the box shows the query's person".
    """

    features: Mapping[str, Tensor] = field(default_factory=dict)
    anchors: Tensor | None = None
    objectness: Tensor | None = None
    anchor_deltas: Tensor | None = None
    proposals: Boxes | None = None
    boxes: Boxes = field(default_factory=list)
    box_logits: Tensor | None = None
    box_deltas: Tensor | None = None
    embeddings: Tensor | None = None
    scores: Tensor | None = None
    stages: tuple[Stage, ...] = ()
    query_objectness: Tensor | None = None
    query_embeddings: Tensor | None = None
    similarity: Tensor | None = None


EVERYTHING = frozenset(part.name for part in fields(SearchOutput))
"""All parts of a `SearchOutput`; a caller that reads only some of them names those, and the rest is not
computed."""


@dataclass(frozen=True, eq=False)
class Detections:
    """What was found in one scene, in original pixels, best score first.

    boxes: (n, 4) float32 xyxy. scores: (n,) float32, probability of a person. embeddings: (n, d)
    float32, unit length.
    """

    boxes: np.ndarray
    scores: np.ndarray
    embeddings: np.ndarray
