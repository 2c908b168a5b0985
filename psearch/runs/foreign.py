"""Checkpoints that other programs wrote, read as if they were ours.

Every file of `psearch/runs/importers/` is an importer of one family of networks: a module with two functions.

    recognises(names) -> bool        the names of the tensors of a network: are they of this family?
    network_of(tensors) -> Import    names -> tensors: the same network in our words

To add one is to add a file there. An importer sees no pickled objects and runs nothing that a file brought.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from typing import Any, Protocol

from torch import Tensor

log = logging.getLogger(__name__)

IMPORTERS = Path(__file__).parent / "importers"
PREFIX = "module."
"""What `DataParallel` and `DistributedDataParallel` put before every name."""

HOLDERS = ("model", "state_dict", "model_state_dict")
"""Keys under which training programs keep the tensors of a network."""


@dataclass(frozen=True, eq=False)
class Import:
    """A network of another program in our words.

    kind: what it is, for a reader. student, compression: nodes as in `conf/`. facts: what
    `psearch.tasks.task.DatasetFacts` holds. network, criterion: state dicts of ours. names: our tensor of the
    network or the criterion -> its name in the file. shapes: our tensor -> the shape it must have.
    """

    kind: str
    student: Mapping[str, Any]
    compression: Mapping[str, Any]
    facts: Mapping[str, Any]
    network: Mapping[str, Tensor]
    criterion: Mapping[str, Tensor]
    names: Mapping[str, str]
    shapes: Mapping[str, tuple[int, ...]]


class Importer(Protocol):
    """What a module in `importers/` offers."""

    def recognises(self, names: frozenset[str]) -> bool: ...
    def network_of(self, tensors: Mapping[str, Tensor]) -> Import: ...


def imported(state: Any, path: Path | str) -> dict[str, Any]:
    """A file's content as a checkpoint of ours, without data set and trainer; which tensors it was made of is
    logged. ValueError where no importer knows it, tensors are missing, of another shape or not finite."""
    tensors = _tensors(state, path)
    try:
        found = _importer(tensors).network_of(tensors)
    except ValueError as error:
        raise ValueError(f"the checkpoint {path}: {error}") from error
    _check(found, tensors, path)
    used = set(found.names.values())
    left = ", ".join(sorted(set(tensors) - used)) or "none"
    count = f"{len(used)} of its {len(tensors)} tensors used"
    _tell(f"{path}: {found.kind}; {count}; left over: {left}; missing: none")
    return {
        "config": {
            "data": {},
            "student": found.student,
            "compression": found.compression,
            "trainer": {"channels_last": False},  # as it was trained: the same kernels, the same bits
            "seed": 0,
        },
        "facts": dict(found.facts),
        "network": dict(found.network),
        "criterion": dict(found.criterion),
        "epoch": None,
        "seconds": None,
    }


def is_known(names: Iterable[str]) -> bool:
    """Whether some importer knows a network of another program by the names of its tensors."""
    tensors = frozenset(name.removeprefix(PREFIX) for name in names)
    return any(importer.recognises(tensors) for _, importer in _importers())


@cache
def _tell(what: str) -> None:
    """Once, however often a run reads the file."""
    log.info(what)


def _importer(tensors: Mapping[str, Tensor]) -> Importer:
    known: list[tuple[str, Importer]] = list(_importers())
    for _, importer in known:
        if importer.recognises(frozenset(tensors)):
            return importer
    names = ", ".join(name for name, _ in known)
    raise ValueError(
        f"no network that psearch knows, its own or one of {names}; it holds {_some(sorted(tensors))}"
    )


def _importers() -> Iterator[tuple[str, Any]]:
    for module in iter_modules([str(IMPORTERS)]):
        yield module.name, import_module(f"psearch.runs.importers.{module.name}")


def _tensors(state: Any, path: Path | str) -> dict[str, Tensor]:
    """Name -> tensor of the network in a file, without the prefix of a wrapper."""
    if not isinstance(state, Mapping):
        raise ValueError(f"the checkpoint {path} is not ours: it holds a {type(state).__name__}")
    held = next((state[key] for key in HOLDERS if isinstance(state.get(key), Mapping)), state)
    tensors = {str(name): value for name, value in held.items() if isinstance(value, Tensor)}
    if not tensors:
        raise ValueError(f"the checkpoint {path} holds no network, but {_some(sorted(map(str, state)))}")
    if all(name.startswith(PREFIX) for name in tensors):
        tensors = {name.removeprefix(PREFIX): value for name, value in tensors.items()}
    return tensors


def _check(found: Import, tensors: Mapping[str, Tensor], path: Path | str) -> None:
    missing = [name for name in found.names.values() if name not in tensors]
    if missing:
        raise ValueError(
            f"the checkpoint {path} looks like {found.kind}, but {len(missing)} of the {len(found.names)} "
            f"tensors are not there: {_some(missing)}"
        )
    other = [
        f"{name} {tuple(tensors[name].shape)} for {found.shapes[ours]}"
        for ours, name in found.names.items()
        if tuple(tensors[name].shape) != found.shapes[ours]
    ]
    if other:
        raise ValueError(
            f"the checkpoint {path} looks like {found.kind}, but {len(other)} tensors have another shape: "
            f"{_some(other)}"
        )
    broken = [name for name in found.names.values() if not tensors[name].isfinite().all()]
    if broken:
        raise ValueError(
            f"the checkpoint {path} is of no use: {len(broken)} tensors hold NaN or infinite numbers, its "
            f"training has diverged: {_some(broken)}"
        )


def _some(names: Sequence[str]) -> str:
    """The first ten, and how many more."""
    more = f" and {len(names) - 10} more" if len(names) > 10 else ""
    return ", ".join(names[:10]) + more
