"""The identity table: made once from the teacher, costs nothing at a step, and changes no student."""

import pytest
import torch
from torch.nn.functional import normalize

from psearch.distill.distillation import Distillation
from psearch.distill.identities import Identities, first, identity_table, mean, medoid
from psearch.distill.teacher import IdentityFeatures, Teacher
from psearch.distill.term import Term
from tests import toys


def people(identities=5, each=4, size=16):
    torch.manual_seed(3)
    ids = torch.arange(identities).repeat_interleave(each)
    return IdentityFeatures(normalize(torch.randn(len(ids), size), dim=1), ids, "data", "net")


class Counting(torch.nn.Module):
    """A network that says how often it was asked."""

    def __init__(self):
        super().__init__()
        self.inner, self.calls = toys.network(seed=9), 0

    def forward(self, images, pick, wanted):
        self.calls += 1
        return self.inner(images, pick, wanted)


def teacher(network=None, provides=frozenset({"embeddings"}), **facts):
    return Teacher(
        network or Counting(),
        name="toy",
        fingerprint="net",
        provides=provides,
        identity_features=people,
        **facts,
    )


@pytest.mark.parametrize("aggregate", [mean, first, medoid])
def test_rows_are_unit_length_and_belong_to_their_identity(aggregate):
    known = people()
    table = identity_table(known, identities=5, aggregate=aggregate)
    torch.testing.assert_close(table.norm(dim=1), torch.ones(5))
    for i in range(5):
        own = known.embeddings[known.ids == i]
        assert (own @ table[i]).max() > 0.4


def test_aggregates_by_hand():
    features = normalize(torch.tensor([[1.0, 0.0], [1.0, 0.1], [0.0, 1.0]]), dim=1)
    torch.testing.assert_close(mean(features), normalize(features.sum(0), dim=0))
    assert torch.equal(first(features), features[0])
    assert torch.equal(medoid(features), features[1])


def test_an_identity_the_teacher_never_saw_is_refused():
    with pytest.raises(ValueError, match="another data set"):
        identity_table(people(identities=4), identities=5, aggregate=mean)


def test_the_frozen_table_is_the_teachers_and_the_teacher_is_not_run_at_a_step():
    counting, criterion, student, batch = Counting(), toys.criterion(), toys.network(), toys.batch()
    distillation = Distillation([teacher(counting)], {"identities": Identities()}, student=student)
    distillation.prepare(criterion.memory)
    wanted = identity_table(people(), identities=5, aggregate=mean)
    for _ in range(2):
        output = student(batch.images, criterion.pick(batch))
        criterion(output, batch)
        assert distillation(output, batch) == {}
        criterion.after_step()
    assert torch.equal(criterion.memory.table, wanted) and counting.calls == 0


def test_its_weight_is_that_of_the_identity_loss():
    """In place of the student's own, and it adds no loss of its own."""
    terms = {"identities": Identities(weight=0.25)}
    distillation = Distillation([teacher()], terms, student=toys.network())
    assert distillation.weigh({"roi_box": 1.0, "identity": 1.0}) == {"roi_box": 1.0, "identity": 0.25}


def test_switches_reach_the_memory():
    prototypes = torch.eye(16)[:5] * 3
    for options, moves in [({"update": "momentum"}, True), ({"update": "anchored"}, True), ({}, False)]:
        criterion = toys.criterion()
        term = Identities(source="prototypes", queue=False, **options)
        term.prepare(teacher(prototypes=prototypes), criterion.memory)
        assert torch.equal(criterion.memory.table, torch.eye(16)[:5]) and len(criterion.memory.queue) == 0
        criterion.memory.update(normalize(torch.ones(1, 16), dim=1), torch.tensor([2]))
        assert torch.equal(criterion.memory.table, torch.eye(16)[:5]) != moves


@pytest.mark.parametrize("options", [{"update": "froze"}, {"source": "lut"}, {"aggregate": "median"}])
def test_unknown_switches_name_the_choices(options):
    with pytest.raises(ValueError, match="choose one of"):
        Identities(**options)


def test_a_teacher_that_cannot_give_what_a_term_needs_is_refused_at_build_time():
    with pytest.raises(ValueError, match="needs embeddings from the teacher"):
        Distillation(
            [teacher(provides=frozenset({"objectness"}))],
            {"identities": Identities()},
            student=toys.network(),
        )


def test_a_stray_node_is_no_term():
    with pytest.raises(ValueError, match="no term"):
        Distillation([teacher()], {"identities": {"weight": 2}}, student=toys.network())


def test_a_negative_weight_is_refused():
    with pytest.raises(ValueError, match="weight"):
        Term(weight=-1)


def test_the_student_does_not_know_that_a_teacher_exists():
    student, criterion = toys.network(), toys.criterion()
    keys = list(student.state_dict())
    known = teacher()
    distillation = Distillation([known], {"identities": Identities()}, student=student)
    distillation.prepare(criterion.memory)
    assert list(student.state_dict()) == keys
    assert not list(distillation.parameters()) and not distillation.state_dict()
    assert not any(p.requires_grad for p in known.network.parameters())
