"""The processes that train one network together, each a rank, and what they tell each other.

Alone, every function here answers at once with what it was given. Several ranks must call the same functions
in the same order; `alone` is for what each does by itself. A rank that is gone ends the others (`RankLost`).
"""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

T = TypeVar("T")

TIMEOUT_S = 1800.0
"""How long a rank waits for another one before it takes it for lost."""


class RankLost(ConnectionError):
    """Another rank of this training was killed, failed, or did not answer in time."""


class Rank(NamedTuple):
    """number: of this process among `size`; local: among those on its machine; all from 0."""

    number: int = 0
    size: int = 1
    local: int = 0


_me = Rank()


def me() -> Rank:
    """Which rank this process is."""
    return _me


def become(rank: Rank) -> None:
    """Said once, when the process group has been started (`psearch.training.rendezvous`)."""
    global _me
    _me = rank


def several() -> bool:
    """Whether there are others."""
    return _me.size > 1


def first() -> bool:
    """Whether this is the one rank that writes files."""
    return _me.number == 0


@contextmanager
def alone() -> Iterator[None]:
    """A block in which this rank works as if there were no others."""
    here = _me
    become(Rank())
    try:
        yield
    finally:
        become(here)


def share(items: Sequence[T]) -> Sequence[T]:
    """This rank's contiguous share: joined in the order of ranks, the shares are `items` again. Their lengths
    differ by at most one."""
    cuts = [len(items) * number // _me.size for number in (_me.number, _me.number + 1)]
    return items[cuts[0] : cuts[1]]


def part(rows: int) -> float:
    """Factor for a mean over `rows` own rows; averaged over ranks, such a mean is the one over all rows."""
    if not several():
        return 1.0
    total = torch.tensor(rows)
    with _together():
        dist.all_reduce(total)
    return rows * _me.size / max(int(total), 1)


def most(numbers: Sequence[int]) -> list[int]:
    """The largest that any rank says, for each of the numbers."""
    if not several():
        return list(numbers)
    largest = torch.tensor(numbers, dtype=torch.int64)
    with _together():
        dist.all_reduce(largest, dist.ReduceOp.MAX)
    return [int(number) for number in largest.tolist()]


def mean(values: Tensor) -> Tensor:
    """The mean over ranks, of any shape and without a gradient."""
    if several():
        values = values.detach().clone()
        average([values])
    return values


@torch.no_grad()
def average(tensors: Sequence[Tensor]) -> None:
    """Replace tensors by their mean over ranks, the same bits everywhere."""
    if several():
        _flat(tensors, lambda flat: (dist.all_reduce(flat), flat.div_(_me.size)))


@torch.no_grad()
def alike(tensors: Sequence[Tensor]) -> None:
    """Replace tensors by those of the first rank."""
    if several():
        _flat(tensors, lambda flat: dist.broadcast(flat, 0))


def _flat(tensors: Sequence[Tensor], act: Callable[[Tensor], object]) -> None:
    """One message for all tensors of a type."""
    for kind in dict.fromkeys(tensor.dtype for tensor in tensors):
        own = [tensor for tensor in tensors if tensor.dtype == kind]
        flat = torch.cat([tensor.reshape(-1) for tensor in own])
        with _together():
            act(flat)
        for tensor, piece in zip(own, flat.split([tensor.numel() for tensor in own]), strict=True):
            tensor.copy_(piece.view(tensor.shape))


def gather(thing: T) -> list[T]:
    """What every rank has, in the order of ranks: anything that can be pickled, on the CPU."""
    if not several():
        return [thing]
    things: list[Any] = [None] * _me.size
    with _together():
        dist.all_gather_object(things, thing)
    return things


def rows(tensor: Tensor) -> Tensor:
    """The rows of all ranks (n, …) in the order of ranks, however many each has; without a gradient."""
    if not several():
        return tensor
    counts = gather(len(tensor))
    padded = tensor.new_zeros(max(counts), *tensor.shape[1:])
    padded[: len(tensor)] = tensor.detach()
    everyone = [torch.empty_like(padded) for _ in counts]
    with _together():
        dist.all_gather(everyone, padded)
    return torch.cat([theirs[:count] for theirs, count in zip(everyone, counts, strict=True)])


def by_first(work: Callable[[], T]) -> T:
    """Let the first rank alone do the work; every rank gets its answer, or the exception it raised."""
    if not several():
        return work()
    told: list[Any] = [None, None]
    if first():
        try:
            with alone():
                told[0] = work()
        except Exception as error:
            told[1] = _carried(error)
            with _together():
                dist.broadcast_object_list(told, 0)
            raise
    with _together():
        dist.broadcast_object_list(told, 0)
    if told[1] is not None:
        told[1].of_first = True  # who keeps records of failures need not keep this one twice
        raise told[1]
    answer: T = told[0]
    return answer


def _carried(error: Exception) -> Exception:
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        return RuntimeError(f"{type(error).__name__}: {error}")
    return error


@contextmanager
def _together() -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise RankLost(
            f"rank {_me.number} of {_me.size} has lost the others ({reason}): one of them was killed or "
            "failed, its own output says why. The same command goes on from the last checkpoint"
        ) from error
