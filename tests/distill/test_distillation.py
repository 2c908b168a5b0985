"""Terms and teachers together: who is asked, for what, when, and what is refused when a run is built."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from torch import nn

from psearch.distill.distillation import Distillation
from psearch.distill.embeddings import Embeddings
from psearch.distill.features import Features
from psearch.distill.objectness import Objectness
from psearch.distill.prototypes import Prototypes
from psearch.distill.regions import Regions
from psearch.distill.teacher import Teacher
from psearch.distill.term import LinearSchedule, Term
from psearch.types import AnchorGrid, Tap
from tests import toys
from tests.distill.test_terms import PARTS, people

DETECTS = PARTS - {"embeddings"}


def named(name: str, provides: frozenset[str] = PARTS, network: nn.Module | None = None) -> Teacher:
    network = network or toys.network(seed=9)
    return Teacher(network, name=name, fingerprint="net", provides=provides, identity_features=people)


def watched(network: nn.Module) -> dict[str, int]:
    """How often each part of a network is called."""
    calls: dict[str, int] = {}
    for name, module in network.named_modules():
        module.register_forward_hook(lambda *_, name=name: calls.update({name: calls.get(name, 0) + 1}))
    return calls


def step(teachers: list[Teacher], terms: dict[str, Term]) -> dict[str, torch.Tensor]:
    student, batch = toys.network(), toys.batch()
    distillation = Distillation(teachers, terms, student=student)
    distillation.prepare(toys.criterion().memory)
    return distillation(student(batch.images, lambda propose: batch.boxes), batch)


@pytest.mark.parametrize(
    ("terms", "idle"),
    [
        ({"features": Features()}, {"proposals.head", "backbone.head", "regions.embedding"}),
        ({"objectness": Objectness()}, {"backbone.head", "regions.box_logits", "regions.embedding"}),
        ({"regions": Regions()}, {"proposals.head", "regions.embedding"}),
        ({"embeddings": Embeddings()}, {"proposals.head", "regions.box_logits", "regions.box_deltas"}),
        ({"prototypes": Prototypes()}, {"proposals.head", "regions.box_logits"}),
        ({"features": Features(), "embeddings": Embeddings()}, {"proposals.head", "regions.box_logits"}),
    ],
)  # fmt: skip
def test_a_teacher_computes_only_what_its_terms_read(terms: dict[str, Term], idle: set[str]) -> None:
    network = toys.network(seed=9)
    calls = watched(network)
    step([named("toy", network=network)], terms)
    assert calls["backbone"] == 1 and calls[""] == 1
    assert not idle & calls.keys()


def test_what_is_wanted_is_the_same_alone_and_with_everything() -> None:
    network, batch = toys.network().eval(), toys.batch()
    whole = network(batch.images, lambda propose: batch.boxes)
    for part in PARTS:
        alone = network(batch.images, lambda propose: batch.boxes, frozenset({part}))
        torch.testing.assert_close(getattr(alone, part), getattr(whole, part), rtol=0, atol=0)
    nothing = network(batch.images, lambda propose: batch.boxes, frozenset())
    assert nothing.objectness is None and nothing.box_logits is None and nothing.embeddings is None


def test_each_term_reads_the_teacher_that_knows() -> None:
    detector, reid = toys.network(seed=8), toys.network(seed=9)
    calls = watched(detector), watched(reid)
    teachers = [named("detector", DETECTS, detector), named("reid", frozenset({"embeddings"}), reid)]
    losses = step(teachers, {"features": Features(), "regions": Regions(), "embeddings": Embeddings()})
    assert set(losses) == {"distill/features", "distill/regions", "distill/embeddings"}
    assert [seen[""] for seen in calls] == [1, 1]
    assert "regions.embedding" not in calls[0] and "regions.box_logits" not in calls[1]


def test_two_teachers_that_could_answer_are_told_apart_by_name() -> None:
    teachers = [named("detector", DETECTS), named("oim")]
    with pytest.raises(
        ValueError, match=r"could read detector or oim: .*\+distill\.features\.teacher=detector"
    ):
        step(teachers, {"features": Features()})
    asked = watched(teachers[0].network), watched(teachers[1].network)
    step(teachers, {"features": Features(teacher="oim")})
    assert not asked[0] and asked[1]
    with pytest.raises(ValueError, match=r"teacher=reid: this run has the teachers detector and oim"):
        step(teachers, {"features": Features(teacher="reid")})
    with pytest.raises(ValueError, match="needs embeddings from the teacher, but detector gives only"):
        step(teachers, {"embeddings": Embeddings(teacher="detector")})


def publishing(**facts: object) -> Teacher:
    network = nn.Module()
    network.__dict__.update(
        {
            "taps": {"c4": Tap(32, 16)},
            "anchor_grid": AnchorGrid((16.0, 24.0), (2.0,), 16),
            "embedding_size": 8,
        }
        | facts
    )
    return named("big", network=network)


@pytest.mark.parametrize(
    ("term", "words"),
    [
        (Features(), "tap 'c4' has stride 8 in the student and 16 in the teacher"),
        (Features(taps=["p5"]), "the student has no tap 'p5', it has c2, c3, c4"),
        (Features(taps=["c3"]), "the teacher big has no tap 'c3', it has c4"),
        (Objectness(), "student's anchors are .*stride 8.*the teacher's are .*stride 16"),
        (
            Embeddings(),
            "student's embedding has 16 numbers, the teacher's 8: set student.network.embedding=8",
        ),
    ],
)
def test_networks_that_do_not_go_together_are_refused_with_both_named(term: Term, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Distillation([publishing()], {"some": term}, student=toys.network())


def test_other_anchors_at_the_same_stride_are_refused() -> None:
    for grid in (AnchorGrid((16.0, 25.0), (2.0,), 8), AnchorGrid((16.0,), (2.0,), 8), None):
        with pytest.raises(ValueError, match="choose compressions of one stride, and the same anchors"):
            Distillation([publishing(anchor_grid=grid)], {"objectness": Objectness()}, student=toys.network())


def test_weights_follow_their_schedules() -> None:
    terms = {
        "features": Features(weight={"start": 0, "end": 2, "epochs": 4}),
        "regions": Regions(mu={"start": 1, "end": 0.5, "epochs": 2}),
    }
    distillation = Distillation([named("toy")], terms, student=toys.network())
    seen = []
    for epoch in (0.0, 1.0, 2.0, 8.0):
        distillation.at_epoch(epoch)
        weights = distillation.weigh({"roi_class": 1.0, "roi_box": 3.0})
        assert weights["roi_box"] == 3.0
        seen.append((weights["distill/features"], weights["roi_class"]))
    assert seen == [(0.0, 1.0), (0.5, 0.75), (1.0, 0.5), (2.0, 0.5)]


@pytest.mark.parametrize(
    "value",
    [-1, {"start": 0, "end": 1}, {"start": 0, "end": -1, "epochs": 2}, {"start": 0, "end": 1, "epochs": 0}],
)
def test_impossible_schedules_are_refused(value: object) -> None:
    with pytest.raises(ValueError, match="weight"):
        LinearSchedule(value, name="weight")  # type: ignore[arg-type]


def test_a_share_above_one_is_refused() -> None:
    with pytest.raises(ValueError, match="mu=1.5: it must be from 0 to 1"):
        Regions(mu=1.5)


def test_identity_sets_that_differ_are_refused() -> None:
    memory = SimpleNamespace(table=torch.zeros(7, 16))
    with pytest.raises(ValueError, match="has no features for 2 of 7 identities"):
        Prototypes().prepare(named("toy"), memory)  # type: ignore[arg-type]


def test_a_teacher_asked_only_who_sees_only_people() -> None:
    student, batch, network = toys.network(), toys.batch(), toys.network(seed=9).eval()
    spot = torch.tensor([[0.0, 0.0, 6.0, 6.0]])
    output = student(batch.images, lambda propose: [torch.cat([spot, boxes]) for boxes in batch.boxes])
    asked = []
    network.register_forward_hook(lambda _, given, said: asked.append(sum(map(len, said.boxes))))
    for terms in ({"embeddings": Embeddings()}, {"embeddings": Embeddings(), "regions": Regions()}):
        distillation = Distillation([named("toy", network=network)], terms, student=student)
        asked.append(distillation(output, batch)["distill/embeddings"].item())
    people_, alone, everyone, together = asked
    assert (people_, everyone) == (len(torch.cat(batch.boxes)), len(torch.cat(output.boxes)))
    assert alone == pytest.approx(together, rel=1e-5) and alone > 0
