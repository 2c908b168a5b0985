"""The processes that train one network together, each a rank, and what they exchange.

In a single process every function here is the identity. Several ranks must call the same functions in
the same order; `single_process` is for what each does by itself. A rank that is gone ends the others
(`RankLost`).
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


_rank = Rank()


def current_rank() -> Rank:
    """Which rank this process is."""
    return _rank


def set_rank(rank: Rank) -> None:
    """Set once, when the process group has been started (`psearch.engine.process_group`)."""
    global _rank
    _rank = rank


def is_distributed() -> bool:
    """Whether there are others."""
    return _rank.size > 1


def is_first() -> bool:
    """Whether this is the one rank that writes files."""
    return _rank.number == 0


@contextmanager
def single_process() -> Iterator[None]:
    """A block in which this rank works as if there were no others."""
    here = _rank
    set_rank(Rank())
    try:
        yield
    finally:
        set_rank(here)


def shard(items: Sequence[T]) -> Sequence[T]:
    """This rank's contiguous share: joined in the order of ranks, the shares are `items` again. Their lengths
    differ by at most one."""
    cuts = [len(items) * number // _rank.size for number in (_rank.number, _rank.number + 1)]
    return items[cuts[0] : cuts[1]]


def mean_weight(rows: int) -> float:
    """Factor for a mean over `rows` own rows; averaged over ranks, such a mean is the one over all rows."""
    if not is_distributed():
        return 1.0
    total = torch.tensor(rows)
    with _collective():
        dist.all_reduce(total)
    return rows * _rank.size / max(int(total), 1)


def all_max(numbers: Sequence[int]) -> list[int]:
    """The largest value of any rank, for each of the numbers."""
    if not is_distributed():
        return list(numbers)
    largest = torch.tensor(numbers, dtype=torch.int64)
    with _collective():
        dist.all_reduce(largest, dist.ReduceOp.MAX)
    return [int(number) for number in largest.tolist()]


def all_mean(values: Tensor) -> Tensor:
    """The mean over ranks, of any shape and without a gradient."""
    if is_distributed():
        values = values.detach().clone()
        all_reduce_mean([values])
    return values


@torch.no_grad()
def all_reduce_mean(tensors: Sequence[Tensor]) -> None:
    """Replace tensors by their mean over ranks, the same bits everywhere."""
    if is_distributed():
        _flat(tensors, lambda flat: (dist.all_reduce(flat), flat.div_(_rank.size)))


@torch.no_grad()
def broadcast_tensors(tensors: Sequence[Tensor]) -> None:
    """Replace tensors by those of the first rank."""
    if is_distributed():
        _flat(tensors, lambda flat: dist.broadcast(flat, 0))


def _flat(tensors: Sequence[Tensor], act: Callable[[Tensor], object]) -> None:
    """One message for all tensors of a type."""
    for kind in dict.fromkeys(tensor.dtype for tensor in tensors):
        own = [tensor for tensor in tensors if tensor.dtype == kind]
        flat = torch.cat([tensor.reshape(-1) for tensor in own])
        with _collective():
            act(flat)
        for tensor, piece in zip(own, flat.split([tensor.numel() for tensor in own]), strict=True):
            tensor.copy_(piece.view(tensor.shape))


def all_gather(thing: T) -> list[T]:
    """What every rank has, in the order of ranks: anything that can be pickled, on the CPU."""
    if not is_distributed():
        return [thing]
    things: list[Any] = [None] * _rank.size
    with _collective():
        dist.all_gather_object(things, thing)
    return things


def gather_rows(tensor: Tensor) -> Tensor:
    """The rows of all ranks (n, …) in the order of ranks, however many each has; without a gradient."""
    if not is_distributed():
        return tensor
    counts = all_gather(len(tensor))
    padded = tensor.new_zeros(max(counts), *tensor.shape[1:])
    padded[: len(tensor)] = tensor.detach()
    everyone = [torch.empty_like(padded) for _ in counts]
    with _collective():
        dist.all_gather(everyone, padded)
    return torch.cat([theirs[:count] for theirs, count in zip(everyone, counts, strict=True)])


def on_first_rank(work: Callable[[], T]) -> T:
    """Let the first rank alone do the work; every rank gets its answer, or the exception it raised."""
    if not is_distributed():
        return work()
    told: list[Any] = [None, None]
    if is_first():
        try:
            with single_process():
                told[0] = work()
        except Exception as error:
            told[1] = picklable(error)
            with _collective():
                dist.broadcast_object_list(told, 0)
            raise
    with _collective():
        dist.broadcast_object_list(told, 0)
    if told[1] is not None:
        told[1].of_first = True  # who keeps records of failures need not keep this one twice
        raise told[1]
    answer: T = told[0]
    return answer


def picklable(error: Exception) -> Exception:
    """The error itself, or its text where it would not survive the way to another process."""
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        return RuntimeError(f"{type(error).__name__}: {error}")
    return error


@contextmanager
def _collective() -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise RankLost(
            f"rank {_rank.number} of {_rank.size} has lost the others ({reason}): one of them was killed or "
            "failed, its own output says why. The same command goes on from the last checkpoint"
        ) from error
