"""Every term equals its formula, teaches the student and nobody else, and bears a batch without people."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch import nn
from torch.nn.functional import conv2d, normalize

from psearch.boxes import encode, region_targets
from psearch.distill.cwd import CWD
from psearch.distill.decoupled import Decoupled
from psearch.distill.distances import bounded_regression
from psearch.distill.distillation import Distillation
from psearch.distill.embeddings import Embeddings
from psearch.distill.features import Features
from psearch.distill.fgd import FGD, attention, people_mask
from psearch.distill.objectness import Objectness
from psearch.distill.pkd import PKD
from psearch.distill.prototypes import Prototypes
from psearch.distill.regions import Regions
from psearch.distill.relations import Relations
from psearch.distill.teacher import IdentityFeatures, Teacher
from psearch.distill.triplets import Triplets
from tests import toys

PARTS = frozenset(
    {"features", "anchors", "objectness", "anchor_deltas", "box_logits", "box_deltas", "embeddings"}
)
TERMS = {
    "features": Features,
    "objectness": Objectness,
    "regions": Regions,
    "embeddings": Embeddings,
    "relations": Relations,
    "squared": lambda: Relations(measure="squared"),
    "pairs": lambda: Relations(measure="pairs"),
    "prototypes": Prototypes,
    "both": lambda: Prototypes(direction="both"),
    "triplets": Triplets,
    "decoupled": Decoupled,
    "fgd": FGD,
    "pkd": PKD,
    "cwd": CWD,
}
ZERO = ("embeddings", "relations", "squared", "pairs", "prototypes", "both", "decoupled", "fgd", "pkd", "cwd")


def people() -> IdentityFeatures:
    torch.manual_seed(3)
    ids = torch.arange(5).repeat_interleave(4)
    return IdentityFeatures(normalize(torch.randn(len(ids), 16), dim=1), ids, "data", "net")


def teacher(network: nn.Module | None = None) -> Teacher:
    network = network or toys.network(seed=9, width=32)
    return Teacher(network, name="toy", fingerprint="net", provides=PARTS, identity_features=people)


def at_truth(batch):
    """The true boxes, each a second time but moved a little, and some background."""
    spot = torch.tensor([[0.0, 0.0, 6.0, 6.0]])
    return [torch.cat([boxes, boxes + 1, spot]) for boxes in batch.boxes]


def taught(name, *, network=None, student=None, batch=None, boxes=None):
    """A term run once: its value, its module, both outputs."""
    batch, student = batch or toys.batch(), student or toys.network()
    network = network or toys.network(seed=9, width=32)
    distillation = Distillation([teacher(network)], {name: TERMS[name]()}, student=student)
    memory = toys.criterion().memory
    memory.table.copy_(normalize(torch.randn(5, 16), dim=1))
    distillation.prepare(memory)
    output = student(batch.images, lambda propose: boxes if boxes is not None else at_truth(batch))
    return distillation(output, batch)[f"distill/{name}"], distillation, output, batch


@pytest.mark.parametrize("name", TERMS)
def test_a_term_teaches_the_student_and_leaves_the_teacher_as_it_is(name: str) -> None:
    student, network = toys.network(), toys.network(seed=9, width=32)
    before = {key: value.clone() for key, value in network.state_dict().items()}
    loss, distillation, _, _ = taught(name, network=network, student=student)
    assert loss.shape == () and loss.isfinite() and (loss > 0 or name == "triplets")
    loss.backward()
    assert any(p.grad is not None and p.grad.abs().sum() > 0 for p in student.parameters())
    assert all(p.grad is None for p in network.parameters())
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())
    assert not any(
        p is q for p in distillation.parameters() for q in [*network.parameters(), *student.parameters()]
    )


@pytest.mark.parametrize("name", ZERO)
def test_an_identical_teacher_has_nothing_to_teach(name: str) -> None:
    network = toys.network().eval()
    student = toys.network().eval()
    distillation = Distillation([teacher(network)], {name: TERMS[name]()}, student=student)
    memory, batch = toys.criterion().memory, toys.batch()
    distillation.prepare(memory)
    if name in ("prototypes", "both"):
        memory.table.copy_(distillation.terms[name].table)
    output = student(batch.images, lambda propose: at_truth(batch))
    assert abs(distillation(output, batch)[f"distill/{name}"].item()) < 1e-5


@pytest.mark.parametrize("name", TERMS)
@pytest.mark.parametrize("count", [(0, 0), (1, 0)])
def test_no_person_and_one_person(name: str, count: tuple[int, int]) -> None:
    student = toys.network()
    loss, *_ = taught(name, student=student, batch=toys.batch(people=count))
    assert loss.isfinite()
    loss.backward()
    assert all(p.grad.isfinite().all() for p in student.parameters() if p.grad is not None)


@pytest.mark.parametrize("name", TERMS)
def test_no_box_at_all(name: str) -> None:
    student = toys.network()
    loss, *_ = taught(name, student=student, boxes=[torch.zeros(0, 4)] * 2)
    assert loss.isfinite()
    loss.backward()


@pytest.mark.parametrize("name", TERMS)
def test_half_precision_is_near_full(name: str) -> None:
    torch.manual_seed(0)
    full, *_ = taught(name)
    torch.manual_seed(0)
    with torch.autocast("cpu", torch.bfloat16):
        half, *_ = taught(name)
    assert half.dtype == torch.float32
    assert half.item() == pytest.approx(full.item(), rel=0.2, abs=0.02)


def rows(name: str):
    """A term's value, and the embeddings of the people as the naive references take them."""
    with torch.no_grad():
        loss, distillation, output, batch = taught(name)
    seen = distillation._teachers[name].observe(batch.images, output.boxes)
    targets = region_targets(output.boxes, batch, 0.5)
    return loss, output, seen, targets, distillation.terms[name], batch


def test_features_is_the_squared_distance_after_the_adapter() -> None:
    loss, output, seen, _, term, _ = rows("features")
    adapter = term.adapters["c4"]
    adapted = conv2d(output.features["c4"], adapter.weight, adapter.bias)
    pairs = zip(adapted.flatten().tolist(), seen.features["c4"].flatten().tolist(), strict=True)
    assert loss.item() == pytest.approx(sum((v - z) ** 2 for v, z in pairs) / adapted.numel(), rel=1e-4)


def bounded(ours, theirs, truth, margin=0.01) -> float:
    a, b = float(((ours - truth) ** 2).sum()), float(((theirs - truth) ** 2).sum())
    return a if a + margin > b else 0.0


def test_regions_is_chens_sum_box_by_box() -> None:
    loss, output, seen, targets, _, _ = rows("regions")
    total, boxes = 0.0, torch.cat(output.boxes)
    for n in range(len(boxes)):
        soft, hard = seen.box_logits[n].softmax(0), output.box_logits[n].log_softmax(0)
        total -= 0.5 * float(1.5 * soft[0] * hard[0] + soft[1] * hard[1])
        if targets.person[n]:
            truth = encode(targets.boxes[n : n + 1], boxes[n : n + 1])[0]
            total += 0.5 * bounded(output.box_deltas[n], seen.box_deltas[n], truth)
    assert loss.item() == pytest.approx(total / len(boxes), rel=1e-4)


def test_objectness_is_chens_sum_anchor_by_anchor() -> None:
    loss, output, seen, _, _, batch = rows("objectness")
    total, count = 0.0, min(256, len(output.anchors))
    for i, boxes in enumerate(batch.boxes):
        ours, theirs = output.objectness[i], seen.objectness[i]
        for a in torch.maximum(ours, theirs).argsort(descending=True)[:count].tolist():
            p, q = float(theirs[a].sigmoid()), float(ours[a].sigmoid())
            total -= 0.5 * (p * math.log(q) + (1 - p) * math.log(1 - q))
            targets = region_targets([output.anchors[a : a + 1]], one(batch, i), 0.7)
            if targets.person[0]:
                truth = encode(targets.boxes, output.anchors[a : a + 1])[0]
                total += 0.5 * bounded(output.anchor_deltas[i, a], seen.anchor_deltas[i, a], truth)
        assert len(boxes)
    assert loss.item() == pytest.approx(total / count / len(batch.boxes), rel=1e-3)


def one(batch, image: int):
    parts = {key: [getattr(batch, key)[image]] for key in ("boxes", "ids", "ignore")}
    return replace(batch, **parts)


def test_embeddings_is_one_minus_cosine() -> None:
    loss, output, seen, targets, _, _ = rows("embeddings")
    pairs = zip(output.embeddings[targets.person], seen.embeddings[targets.person], strict=True)
    cosines = [float(a @ b / a.norm() / b.norm()) for a, b in pairs]
    assert loss.item() == pytest.approx(1 - sum(cosines) / len(cosines), rel=1e-4)


def kl(p, q) -> float:
    return float((p * (p.log() - q.log())).sum())


def matrices(name: str):
    loss, output, seen, targets, _, _ = rows(name)
    ours, theirs = (said.embeddings[targets.person] for said in (output, seen))
    return loss.item(), ours @ ours.T, theirs @ theirs.T


def test_relations_by_their_formulas() -> None:
    loss, ours, theirs = matrices("relations")
    by_row = [kl((t / 2).softmax(0), (s / 2).softmax(0)) for s, t in zip(ours, theirs, strict=True)]
    assert loss == pytest.approx(4 * sum(by_row) / len(by_row), rel=1e-3)
    loss, ours, theirs = matrices("squared")
    assert loss == pytest.approx(float(((ours - theirs) ** 2).sum()), rel=1e-4)
    loss, ours, theirs = matrices("pairs")
    apart = [a / a.norm() - b / b.norm() for a, b in zip(ours, theirs, strict=True)]
    assert loss == pytest.approx(sum(float((row**2).sum()) for row in apart) / len(ours) ** 2, rel=1e-4)


@pytest.mark.parametrize(("direction", "backward"), [("teacher", 0), ("student", 1), ("both", 2)])
def test_prototypes_compare_distributions_over_the_table(direction: str, backward: int) -> None:
    TERMS["chosen"] = lambda: Prototypes(direction=direction)
    try:
        loss, output, seen, targets, term, _ = rows("chosen")
    finally:
        del TERMS["chosen"]
    table = term._memory[0].table
    both = []
    for f, g in zip(output.embeddings[targets.person], seen.embeddings[targets.person], strict=True):
        p, q = (30 * table @ f / 2).softmax(0), (30 * term.table @ g / 2).softmax(0)
        both.append((kl(q, p), kl(p, q), kl(q, p) + kl(p, q)))
    assert loss.item() == pytest.approx(4 * sum(row[backward] for row in both) / len(both), rel=1e-3)


def test_triplets_know_only_other_people() -> None:
    loss, output, seen, targets, _, _ = rows("triplets")
    known = targets.person & (targets.ids >= 0)
    ours, theirs, ids = output.embeddings[known], seen.embeddings[known], targets.ids[known]
    total = 0.0
    for i in range(len(ours)):
        others = [float((ours[i] - theirs[j]).norm()) for j in range(len(ours)) if ids[j] != ids[i]]
        total += max(0.0, 0.3 + float((ours[i] - theirs[i]).norm()) - min(others, default=math.inf))
    assert loss.item() == pytest.approx(total / len(ours), rel=1e-4, abs=1e-6)


def test_decoupled_logits_equal_the_loop_for_any_number_of_classes() -> None:
    torch.manual_seed(0)
    ours, theirs, target = torch.randn(6, 4), torch.randn(6, 4), torch.tensor([0, 1, 2, 3, 1, 0])
    total = 0.0
    for s, t, y in zip(ours / 4, theirs / 4, target, strict=True):
        p, q = s.softmax(0), t.softmax(0)
        rest = torch.arange(4) != y
        target_part = kl(torch.stack([q[y], q[rest].sum()]), torch.stack([p[y], p[rest].sum()]))
        total += 16 * (target_part + 0.5 * kl(t[rest].softmax(0), s[rest].softmax(0)))
    assert Decoupled().divergence(ours, theirs, target).item() == pytest.approx(total / 6, rel=1e-4)


def test_pkd_is_one_minus_pearson() -> None:
    torch.manual_seed(0)
    ours, theirs = torch.randn(2, 3, 4, 5), torch.randn(2, 3, 4, 5)
    flat = [maps.transpose(0, 1).flatten(1) for maps in (ours, theirs)]
    correlation = [float(torch.corrcoef(torch.stack(pair))[0, 1]) for pair in zip(*flat, strict=True)]
    wanted = 1 - sum(correlation) / 3
    assert PKD().distance("c4", ours, theirs, toys.batch()).item() == pytest.approx(wanted, rel=1e-4)
    assert PKD().distance("c4", 3 * theirs + 7, theirs, toys.batch()).item() == pytest.approx(0, abs=1e-5)


def test_cwd_is_a_divergence_of_places() -> None:
    torch.manual_seed(0)
    ours, theirs = torch.randn(2, 3, 4, 5), torch.randn(2, 3, 4, 5)
    pairs = zip(ours.flatten(0, 1), theirs.flatten(0, 1), strict=True)
    wanted = sum(4 * kl((t / 2).flatten().softmax(0), (s / 2).flatten().softmax(0)) for s, t in pairs) / 6
    term = CWD(temperature=2.0)
    assert term.distance("c4", ours, theirs, toys.batch()).item() == pytest.approx(wanted, rel=1e-4)


def test_fgd_is_its_sums() -> None:
    torch.manual_seed(0)
    batch, term = toys.batch(), FGD(background=0.02, foreground=0.03, attention=0.04, relation=0.05)
    term._add("c4", 3)
    ours, theirs = torch.randn(2, 3, 8, 12), torch.randn(2, 3, 8, 12)
    mask = people_mask(batch, theirs)
    (where, which), (where_s, which_s) = attention(theirs, 0.5), attention(ours, 0.5)
    total = 0.0
    for b in range(2):
        free = int((mask[b] == 0).sum())
        for y in range(8):
            for x in range(12):
                error = sum(float(which[b, c] * (theirs - ours)[b, c, y, x] ** 2) for c in range(3))
                m = 0.03 * float(mask[b, y, x]) or 0.02 / free
                total += m * float(where[b, y, x]) * error
        total += 0.04 * float((where[b] - where_s[b]).abs().sum() + (which[b] - which_s[b]).abs().sum())
        total += 0.05 * float(((theirs - ours)[b] ** 2).sum())
    assert term.distance("c4", ours, theirs, batch).item() == pytest.approx(total / 2, rel=1e-3)
    torch.testing.assert_close(where.mean(dim=(1, 2)), torch.ones(2))


def test_the_hard_loss_makes_room_for_the_soft_one() -> None:
    """At weight 1 the student keeps the share μ of its own loss; at weight 0 (watched) all of it."""
    for weight, share in ((0.0, 1.0), (0.5, 0.85), (1.0, 0.7), (3.0, 0.7)):
        term = Regions(mu=0.7, weight=weight)
        distillation = Distillation([teacher()], {"regions": term}, student=toys.network())
        weights = distillation.weigh({"roi_class": 2.0, "roi_box": 1.0})
        assert weights == pytest.approx({"roi_class": 2 * share, "roi_box": 1.0, "distill/regions": weight})


def test_bounded_regression_forgives_who_beats_the_teacher() -> None:
    truth = torch.zeros(3, 4)
    ours = torch.tensor([[0.1, 0, 0, 0], [0.5, 0, 0, 0], [0.3, 0, 0, 0]])
    theirs = torch.tensor([[0.5, 0, 0, 0], [0.1, 0, 0, 0], [0.31, 0, 0, 0]])
    found = bounded_regression(ours, theirs, truth, margin=0.01)
    torch.testing.assert_close(found, torch.tensor([0.0, 0.25, 0.09]))
