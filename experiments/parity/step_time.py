"""A training step of psearch's SeqNet beside one of the public program, in turn, in one process: a ratio.

    python experiments/parity/step_time.py --seqnet CHECKOUT [--height 320 --width 512 --batch 2 --rounds 5]

Both have the published limits (2000 proposals, 128 boxes a picture), the same tensors, people and threads.
CPU seconds count, so that other work on the machine falls out as far as it can; the ratio is of the medians.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn

sys.path[:0] = [str(Path(__file__).parents[2]), str(Path(__file__).parent)]

import compare  # noqa: E402

from psearch.engine.optimization import Optimization, warmup_milestones  # noqa: E402
from psearch.types import Batch  # noqa: E402


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--seqnet", type=Path, required=True)
    for name, value in (("height", 320), ("width", 512), ("batch", 2), ("rounds", 5), ("threads", 1)):
        parser.add_argument(f"--{name}", type=int, default=value)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    compare.few = False
    pictures, boxes, ids = scenes(given.batch, given.height, given.width)
    steps = {
        "public": public_step(compare.seeded_network("seqnet", given.seqnet), pictures, boxes, ids),
        "psearch": our_step(compare.seeded_network("seqnet", given.seqnet), pictures, boxes, ids),
    }
    spent: dict[str, list[float]] = {name: [] for name in steps}
    for number in range(given.rounds + 1):
        for name, step in steps.items():
            begin = time.process_time()
            step()
            if number:  # the first is warm-up
                spent[name].append(time.process_time() - begin)
    medians = {name: statistics.median(seconds) for name, seconds in spent.items()}
    told = ", ".join(f"{name} {seconds:.2f} s" for name, seconds in medians.items())
    print(f"{given.batch} pictures of {given.height}x{given.width}, {given.threads} threads: {told}")
    print(f"public / psearch = {medians['public'] / medians['psearch']:.2f}")


def scenes(count: int, height: int, width: int) -> tuple[list[Tensor], list[Tensor], list[Tensor]]:
    generator = torch.Generator().manual_seed(0)
    pictures = [torch.randn(3, height, width, generator=generator) for _ in range(count)]
    boxes = []
    for _ in range(count):
        size = torch.tensor([40.0, 100.0]) * (0.6 + torch.rand(6, 2, generator=generator))
        corner = torch.rand(6, 2, generator=generator) * (torch.tensor([width, height]) - size)
        boxes.append(torch.cat([corner, corner + size], dim=1))
    return pictures, boxes, [torch.arange(6) for _ in range(count)]


def public_step(
    network: nn.Module, pictures: list[Tensor], boxes: list[Tensor], ids: list[Tensor]
) -> Callable[[], None]:
    network.train()
    trained = [parameter for parameter in network.parameters() if parameter.requires_grad]
    optimizer = torch.optim.SGD(trained, lr=1e-5, momentum=0.9, weight_decay=0.0005)
    targets = [{"boxes": each, "labels": y + 1} for each, y in zip(boxes, ids, strict=True)]

    def step() -> None:
        losses = network(pictures, targets)
        optimizer.zero_grad()
        sum(losses.values(), torch.zeros(())).backward()
        nn.utils.clip_grad_norm_(network.parameters(), 10)
        optimizer.step()

    return step


def our_step(
    network: nn.Module, pictures: list[Tensor], boxes: list[Tensor], ids: list[Tensor]
) -> Callable[[], None]:
    task = (
        compare.ours("seqnet", network).to(memory_format=torch.channels_last).train()
    )  # the trainer's default
    optimization = Optimization(
        task.network.parameters(),
        optimizer=partial(torch.optim.SGD, lr=1e-5, momentum=0.9, weight_decay=0.0005),
        schedule=partial(warmup_milestones, warmup_epochs=1),
        epochs=1,
        steps_per_epoch=1000,
        clip=10,
        decay_norms=True,
        scale=False,
        device=torch.device("cpu"),
    )
    batch: Batch = compare.batch_of(pictures, boxes, ids)
    batch.images.data = batch.images.contiguous(
        memory_format=torch.channels_last
    )  # as the loader brings them

    def step() -> None:
        optimization.backward(sum(compare.our_losses(task, batch).values(), torch.zeros(())))
        optimization.step()
        task.after_step()

    return step


if __name__ == "__main__":
    main()
