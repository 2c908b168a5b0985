"""psearch beside the published programs of SeqNet and NAE: one line a comparison, largest difference first.

    python experiments/parity/compare.py --seqnet CHECKOUT --nae CHECKOUT [--write FILE.json]

CHECKOUT: a working copy of https://github.com/serend1p1ty/SeqNet (edec285) and of
https://github.com/DeanChan/NAE4PS (ec43d1e). Both see the same tensors, made from seeds by `tests/seeded.py`;
what psearch computes, it computes from a checkpoint file that their program wrote. FILE: the numbers of the
fixture that `tests/models/test_public.py` holds psearch against where no checkout is at hand.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

sys.path[:0] = [str(Path(__file__).parents[2]), str(Path(__file__).parent)]

import public  # noqa: E402

from psearch.engine.optimization import Optimization, warmup_milestones  # noqa: E402
from psearch.evaluation.describe import detections  # noqa: E402
from psearch.losses.identity import IdentityMemory  # noqa: E402
from psearch.models.oim import OIMNetwork  # noqa: E402
from psearch.models.seqnet import SeqNetwork  # noqa: E402
from psearch.runs import checkpoint  # noqa: E402
from psearch.runs.importers import seqnet as importer  # noqa: E402
from psearch.studies.recipe import restored_task  # noqa: E402
from psearch.tasks.search import SearchTask  # noqa: E402
from psearch.types import UNLABELLED, Batch, Propose, StagedPick  # noqa: E402
from tests import seeded  # noqa: E402

NMS = {"seqnet": 0.5, "nae": 0.4}
LOSSES = {
    "rpn_object": ("loss_rpn_cls", "loss_objectness"),
    "rpn_box": ("loss_rpn_reg", "loss_rpn_box_reg"),
    "stage1_class": ("loss_proposal_cls",),
    "stage1_box": ("loss_proposal_reg",),
    "roi_class": ("loss_box_cls", "loss_detection"),
    "roi_box": ("loss_box_reg",),
    "identity": ("loss_box_reid", "loss_reid"),
}
"""Our loss -> what SeqNet and NAE call it."""

fixture: dict[str, Any] = {}
few = True


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--seqnet", type=Path, required=True)
    parser.add_argument("--nae", type=Path, required=True)
    parser.add_argument("--write", type=Path)
    parser.add_argument("--steps", type=int, default=20, help="of training; 0 for none")
    parser.add_argument("--only", choices=["seqnet", "nae"])
    parser.add_argument("--published-limits", action="store_true", help="all proposals and boxes")
    global few
    given = parser.parse_args()
    few = not given.published_limits
    memory(given.seqnet)
    for kind in ("seqnet", "nae"):
        if given.only in (None, kind):
            compare(kind, getattr(given, kind), given.steps)
    if given.write:
        given.write.write_text(json.dumps(fixture, indent=1) + "\n")


def compare(kind: str, checkout: Path, steps: int) -> None:
    network = seeded_network(kind, checkout)
    numbers = fixture[kind] = {}
    numbers["inference"] = inference(kind, network, f"{kind} inference, seeded weights")
    numbers["losses"] = training_step(kind, network)
    if not steps:
        return
    network = seeded_network(kind, checkout)
    training(kind, network, steps)
    inference(kind, network, f"{kind} inference after {steps} steps", score_threshold=0.01)


def seeded_network(kind: str, checkout: Path) -> nn.Module:
    network = public.load(kind, checkout)
    shapes = [(name, tuple(value.shape)) for name, value in network.state_dict().items()]
    network.load_state_dict(seeded.state(shapes, seed=1))
    if few:
        network.rpn._post_nms_top_n = {"training": seeded.PROPOSALS, "testing": seeded.PROPOSALS}
        network.roi_heads.fg_bg_sampler.batch_size_per_image = seeded.SAMPLED
    return network


def ours(kind: str, network: nn.Module) -> SearchTask:
    """The task that psearch makes of a checkpoint of theirs."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "epoch_0.pth"
        torch.save({"model": network.state_dict(), "epoch": 0}, path)
        task = restored_task(checkpoint.load(path), path)
    assert isinstance(task, SearchTask) and isinstance(task.network, OIMNetwork)
    if few:
        proposals, sampler = task.network.proposals, task.criterion.region_sampler
        proposals.post_nms_top_n = proposals.post_nms_top_n_train = seeded.PROPOSALS
        task.criterion.region_sampler = replace(sampler, batch_size_per_image=seeded.SAMPLED)
    return task


def batch_of(pictures: list[Tensor], boxes: list[Tensor], ids: list[Tensor]) -> Batch:
    height, width = (max(picture.shape[i] for picture in pictures) for i in (1, 2))
    images = torch.zeros(len(pictures), 3, height, width)
    for row, picture in zip(images, pictures, strict=True):
        row[:, : picture.shape[1], : picture.shape[2]] = picture
    sizes = torch.tensor([picture.shape[1:] for picture in pictures])
    ignore = [torch.zeros(len(each), dtype=torch.bool) for each in boxes]
    return Batch(images, sizes, torch.ones(len(pictures)), boxes, ids, ignore, list(range(len(pictures))))


@torch.no_grad()
def inference(
    kind: str, network: nn.Module, what: str, *, score_threshold: float = 0.5
) -> list[dict[str, Any]]:
    network.eval()
    network.roi_heads.score_thresh = score_threshold
    mine = ours(kind, network).network.eval()
    if isinstance(mine, SeqNetwork):
        mine.score_threshold = min(mine.score_threshold, score_threshold)
    most: dict[str, float] = {}
    found = []
    for index in range(len(seeded.SHAPES)):
        picture, query = seeded.picture(index, seed=1), seeded.people(index, seed=1, count=2)
        [theirs] = network([picture])
        batch = batch_of([picture], [query], [torch.zeros(2, dtype=torch.long)])
        output = mine(batch.images)
        options: dict[str, Any] = {"nms_threshold": NMS[kind], "max_detections": 300}
        [here] = detections(output, batch, score_threshold=score_threshold, **options)
        embedded = mine(batch.images, partial(given_boxes, query)).embeddings
        sought = torch.cat(queries(network, picture, query))
        pairs = {
            "boxes": (torch.from_numpy(here.boxes), theirs["boxes"]),
            "scores": (torch.from_numpy(here.scores), theirs["scores"]),
            "embeddings": (torch.from_numpy(here.embeddings * here.scores[:, None]), theirs["embeddings"]),
            "query": (embedded, sought),
        }
        for name, (left, right) in pairs.items():
            apart = float("inf") if left.shape != right.shape else difference(left, right)
            most[name] = max(most.get(name, 0.0), apart)
        found.append(seeded.digests({name: right for name, (_, right) in pairs.items()}))
        print(f"    picture {index}: {len(theirs['boxes'])} detections, scores {spread(theirs['scores'])}")
    tell(what, **most)
    return found


def given_boxes(boxes: Tensor, propose: Propose) -> list[Tensor]:
    """The pick of a query: its own box."""
    return [boxes]


def queries(network: nn.Module, picture: Tensor, boxes: Tensor) -> list[Tensor]:
    if hasattr(network, "ex_feat"):
        return list(network.ex_feat([picture], [{"boxes": boxes}]))
    return list(network([picture], [{"boxes": boxes}]))


def difference(left: Tensor, right: Tensor) -> float:
    return float((left - right).detach().abs().max()) if left.numel() else 0.0


def spread(scores: Tensor) -> str:
    return f"{scores.min():.3f}…{scores.max():.3f}" if len(scores) else "none"


def training_batch(step: int) -> tuple[Batch, list[Tensor], list[dict[str, Tensor]]]:
    """Two pictures, as psearch and as they take them."""
    seed = 10 + step
    chosen = [step % 3, (step + 1) % 3]
    pictures = [seeded.picture(index, seed=seed) for index in chosen]
    boxes = [seeded.people(index, seed=seed) for index in chosen]
    ids = [seeded.names(index, seed=seed, identities=public.IDENTITIES) for index in chosen]
    labels = [torch.where(each == UNLABELLED, 5555, each + 1) for each in ids]
    targets = [{"boxes": b, "labels": y} for b, y in zip(boxes, labels, strict=True)]
    return batch_of(pictures, boxes, ids), pictures, targets


def public_losses(network: nn.Module, pictures: list[Tensor], targets: Any) -> dict[str, Tensor]:
    """Theirs by our names; SeqNet's are weighted already, NAE's by its README's command."""
    found = network(pictures, targets)
    losses = {mine: found[name] for mine, names in LOSSES.items() for name in names if name in found}
    if "loss_detection" in found:
        losses["roi_box"] = losses["roi_box"] * 10.0
    return losses


def our_losses(task: SearchTask, batch: Batch) -> dict[str, Tensor]:
    return {name: loss * task.weights[name] for name, loss in task(batch).items()}


def training_step(kind: str, network: nn.Module) -> dict[str, float]:
    network.train()
    task = ours(kind, network)
    task.train()
    batch, pictures, targets = training_batch(0)
    with public.first_of_each():
        theirs, mine = public_losses(network, pictures, targets), our_losses(task, batch)
    most = {name: relative(mine[name], theirs[name]) for name in theirs}
    tell(f"{kind} losses of one step, relative", **most)
    for losses in (theirs, mine):
        sum(losses.values(), torch.zeros(())).backward()
    parameters = dict(task.network.named_parameters())
    names = theirs_of(network, task)
    given = {name: p.grad for name, p in network.named_parameters() if p.grad is not None}
    pairs = [(parameters[own].grad, given[name]) for own, name in names.items() if name in given]
    assert len(pairs) == len(given), "a gradient of theirs has no partner"
    whole = torch.cat([(a - b).flatten() for a, b in pairs]).norm()
    norm = torch.cat([b.flatten() for _, b in pairs]).norm()
    apart = sorted(
        (float((a - b).norm() / b.norm()), float(b.norm() / norm), name)
        for (a, b), name in zip(pairs, [name for name in names.values() if name in given], strict=True)
        if b.norm() > 1e-6 * norm  # that of a bias before a norm is nothing but rounding
    )
    print(f"    gradients furthest apart: {apart[-3:]}")
    tell(f"{kind} gradients of one step, relative", whole=float(whole / norm), worst=apart[-1][0])
    task.after_step()
    tell(f"{kind} table and queue after it", **memories(task, network))
    return {name: float(loss.detach()) for name, loss in theirs.items()}


def theirs_of(network: nn.Module, task: SearchTask) -> dict[str, str]:
    """Our parameter -> their name of it."""
    names = importer.network_of(network.state_dict()).names
    return {name: names[name] for name, _ in task.network.named_parameters()}


def memories(task: SearchTask, network: nn.Module) -> dict[str, float]:
    loss = network.roi_heads.reid_loss
    memory = task.criterion.memory
    return {"table": difference(memory.table, loss.lut), "queue": difference(memory.queue, loss.cq)}


def relative(left: Tensor, right: Tensor) -> float:
    return float(((left - right).abs() / right.abs().clamp(min=1e-12)).detach())


def training(kind: str, network: nn.Module, steps: int) -> None:
    """Both trained by the published recipe (SGD, warm-up, clipping at 10) from one state, and at the boxes
    that the public program sampled. (Left to themselves, a box is another as soon as a candidate lies nearer
    to a threshold of sampling than rounding.)"""
    network.train()
    task = ours(kind, network)
    task.train()
    trained = [parameter for parameter in network.parameters() if parameter.requires_grad]
    optimizer = torch.optim.SGD(trained, lr=0.003, momentum=0.9, weight_decay=0.0005)
    optimization = Optimization(
        task.network.parameters(),
        optimizer=partial(torch.optim.SGD, lr=0.003, momentum=0.9, weight_decay=0.0005),
        schedule=partial(warmup_milestones, warmup_epochs=1),
        epochs=20,
        steps_per_epoch=steps,
        clip=10,
        decay_norms=True,
        scale=False,
        device=torch.device("cpu"),
    )
    sampled: list[list[Tensor]] = []
    network.roi_heads.box_roi_pool.register_forward_hook(lambda _, given, __: sampled.append(given[1]))
    task.criterion.pick = lambda batch: picked(sampled)  # type: ignore[method-assign]
    most: dict[str, float] = {}
    trace, spent = [], [0.0, 0.0]
    for step in range(steps):
        batch, pictures, targets = training_batch(step)
        for group in optimizer.param_groups:
            group["lr"] = optimization.lr  # one epoch of warm-up; compared with theirs elsewhere
        with public.first_of_each():
            sampled.clear()
            begin = time.process_time()
            theirs = public_losses(network, pictures, targets)
            optimizer.zero_grad()
            sum(theirs.values(), torch.zeros(())).backward()
            nn.utils.clip_grad_norm_(network.parameters(), 10)
            optimizer.step()
            middle = time.process_time()
            mine = our_losses(task, batch)
            optimization.backward(sum(mine.values(), torch.zeros(())))
            optimization.step()
            task.after_step()
            spent = [spent[0] + middle - begin, spent[1] + time.process_time() - middle]
        trace.append(sum(theirs.values(), torch.zeros(())).item())
        for name, loss in theirs.items():
            most[name] = max(most.get(name, 0.0), difference(mine[name], loss))
    print(
        f"    total loss {trace[0]:.3f} -> {trace[-1]:.3f}; CPU s theirs {spent[0]:.1f}, ours {spent[1]:.1f}"
    )
    tell(f"{kind} losses over {steps} steps, absolute", **most)
    tell(f"{kind} table and queue after {steps} steps", **memories(task, network))


def picked(sampled: list[list[Tensor]]) -> StagedPick:
    """The boxes of every stage, whatever is proposed."""

    def last(propose: Propose) -> list[Tensor]:
        propose()  # is what runs the first stage
        return sampled[-1]

    return StagedPick(first=lambda propose: sampled[0], last=last)


def memory(checkout: Path) -> None:
    """50 updates of the OIM memory alone."""
    public.load("seqnet", checkout)
    theirs = sys.modules["models.oim"].OIMLoss(256, 50, 30, 0.5, 30.0)
    mine = IdentityMemory(50, size=256, queue=30)
    generator = torch.Generator().manual_seed(3)
    most = {"loss": 0.0, "gradient": 0.0, "table": 0.0, "queue": 0.0, "head": 0.0}
    for _ in range(50):
        rows = nn.functional.normalize(torch.randn(12, 256, generator=generator), dim=1)
        ids = torch.randint(0, 50, (12,), generator=generator)
        ids[torch.rand(12, generator=generator) < 0.3] = UNLABELLED
        left, right = rows.clone().requires_grad_(), rows.clone().requires_grad_()
        loss = mine(left, ids)
        other = theirs(right, [torch.where(ids == UNLABELLED, 5555, ids + 1)])
        loss.backward()
        other.backward()
        mine.update(left, ids)
        now = {"loss": (loss, other), "gradient": (left.grad, right.grad)}
        now |= {"table": (mine.table, theirs.lut), "queue": (mine.queue, theirs.cq)}
        most |= {name: max(most[name], difference(*pair)) for name, pair in now.items()}
        most["head"] = max(most["head"], abs(int(mine.queue_ptr) - theirs.header_cq))
    tell("OIM, 50 updates", **most)


def tell(what: str, **most: float) -> None:
    print(f"{what}: " + ", ".join(f"{name} {value:.1e}" for name, value in most.items()), flush=True)


if __name__ == "__main__":
    main()
