"""The OIM memory against a loop written from the paper's text."""

import pytest
import torch
from torch.nn.functional import cross_entropy, normalize

from psearch.losses.identity import IdentityMemory


def embeddings(count, size=8, seed=0):
    return normalize(torch.randn(count, size, generator=torch.Generator().manual_seed(seed)), dim=1)


def naive(table, queue, head, rows, ids, momentum=0.5):
    """One person after the other, as the paper says it."""
    for row, person in zip(rows, ids.tolist(), strict=True):
        if person >= 0:
            table[person] = normalize(momentum * table[person] + (1 - momentum) * row, dim=0)
        else:
            queue[head] = row
            head = (head + 1) % len(queue)
    return head


def test_memory_equals_a_naive_loop_over_many_steps():
    memory = IdentityMemory(6, size=8, queue=5)
    table, queue, head = torch.zeros(6, 8), torch.zeros(5, 8), 0
    for step in range(12):
        rows = embeddings(17, seed=step)
        ids = torch.randint(-1, 6, (17,), generator=torch.Generator().manual_seed(100 + step))
        memory.update(rows, ids)
        head = naive(table, queue, head, rows, ids)
        torch.testing.assert_close(memory.table, table)
        torch.testing.assert_close(memory.queue, queue)
        assert int(memory.queue_ptr) == head


def test_loss_is_cross_entropy_over_table_and_queue_of_labelled_people_only():
    memory = IdentityMemory(4, size=8, queue=3, temperature=0.1)
    memory.update(embeddings(9), torch.tensor([0, 1, 2, 3, -1, -1, 0, 1, -1]))
    rows, ids = embeddings(3, seed=5), torch.tensor([2, -1, 0])
    expected = cross_entropy(
        rows[[0, 2]] @ torch.cat([memory.table, memory.queue]).T / 0.1, torch.tensor([2, 0])
    )
    torch.testing.assert_close(memory(rows, ids), expected)


def test_nobody_labelled_gives_zero_with_a_gradient():
    rows = embeddings(3).requires_grad_()
    loss = IdentityMemory(4, size=8)(rows, torch.full((3,), -1))
    loss.backward()
    assert loss == 0 and rows.grad is not None and not rows.grad.any()


def test_reading_changes_nothing_and_writing_takes_no_gradient():
    memory = IdentityMemory(4, size=8, queue=3)
    before = {name: value.clone() for name, value in memory.state_dict().items()}
    memory(embeddings(2).requires_grad_(), torch.tensor([0, 1])).backward()
    assert all(torch.equal(before[name], value) for name, value in memory.state_dict().items())
    memory.update(embeddings(2).requires_grad_(), torch.tensor([0, 1]))
    assert not memory.table.requires_grad


def test_a_frozen_table_never_moves_but_the_queue_does():
    memory, table = IdentityMemory(4, size=8, queue=3), embeddings(4, seed=9)
    memory.load_table(table, frozen=True)
    memory.update(embeddings(4), torch.tensor([0, 1, -1, -1]))
    assert torch.equal(memory.table, table) and int(memory.queue_ptr) == 2


def test_an_anchored_row_stays_nearer_to_the_teachers_than_a_free_one():
    table, rows, ids = embeddings(4, seed=9), embeddings(2), torch.tensor([0, 0])
    similarity = {}
    for strength in (0.0, 0.5):
        memory = IdentityMemory(4, size=8)
        memory.load_table(table, frozen=False, anchor_strength=strength)
        memory.update(rows, ids)
        similarity[strength] = float(memory.table[0] @ table[0])
    assert similarity[0.5] > similarity[0.0]


def test_another_size_of_table_is_refused():
    with pytest.raises(ValueError, match="embedding"):
        IdentityMemory(4, size=8).load_table(torch.zeros(4, 16), frozen=True)


def test_without_a_queue_there_are_only_identities():
    memory = IdentityMemory(4, size=8, queue=3)
    memory.load_table(embeddings(4), frozen=True, queue=False)
    memory.update(embeddings(2), torch.tensor([-1, -1]))
    assert memory.logits(embeddings(2)).shape == (2, 4)


def test_state_dict_restores_the_queue_head():
    memory = IdentityMemory(4, size=8, queue=3)
    memory.update(embeddings(2), torch.tensor([-1, -1]))
    other = IdentityMemory(4, size=8, queue=3)
    other.load_state_dict(memory.state_dict())
    assert int(other.queue_ptr) == 2 and torch.equal(other.queue, memory.queue)


def one_person(momentum=0.5, strength=0.0):
    """A memory of one person, whose row is (1, 0)."""
    memory = IdentityMemory(1, size=2, momentum=momentum, queue=0)
    memory.load_table(torch.tensor([[1.0, 0.0]]), frozen=False, anchor_strength=strength)
    return memory


def test_momentum_is_the_share_of_the_old_row_that_stays():
    """3/4 of (1, 0) and 1/4 of (0, 1) point to (3, 1)."""
    memory = one_person(momentum=0.75)
    memory.update(torch.tensor([[0.0, 1.0]]), torch.tensor([0]))
    torch.testing.assert_close(memory.table, torch.tensor([[3.0, 1.0]]) / 10**0.5)


def test_pull_is_how_far_a_row_goes_back_to_the_adopted_one():
    """Without momentum the row becomes (0, 1); a quarter of the way back to (1, 0) points to (1, 3)."""
    memory = one_person(momentum=0.0, strength=0.25)
    memory.update(torch.tensor([[0.0, 1.0]]), torch.tensor([0]))
    torch.testing.assert_close(memory.table, torch.tensor([[1.0, 3.0]]) / 10**0.5)


def test_a_person_seen_twice_in_a_step_is_updated_twice_in_order():
    """(1, 0) and (0, 1) meet at 45 degrees; half-way from there to (1, 0) is 22.5 degrees."""
    memory = one_person()
    memory.update(torch.tensor([[0.0, 1.0], [1.0, 0.0]]), torch.tensor([0, 0]))
    torch.testing.assert_close(memory.table[0, 1] / memory.table[0, 0], torch.tensor(2**0.5 - 1))


def test_the_queue_goes_round_in_a_circle_and_the_oldest_leaves_first():
    """Two people, then two more, in a queue of three: the fourth takes the place of the first."""
    memory = IdentityMemory(1, size=1, queue=3)
    for rows in ([[1.0], [2.0]], [[3.0], [4.0]]):
        memory.update(torch.tensor(rows), torch.tensor([-1, -1]))
    assert memory.queue[:, 0].tolist() == [4, 2, 3] and int(memory.queue_ptr) == 1


def test_more_people_than_the_queue_holds_leave_it_as_if_they_had_come_one_by_one():
    """Of five, places 0, 1, 2, 0, 1 in turn: the last three stay, and the next one goes to place 2."""
    memory = IdentityMemory(1, size=1, queue=3)
    memory.update(torch.tensor([[1.0], [2.0], [3.0], [4.0], [5.0]]), torch.full((5,), -1))
    assert memory.queue[:, 0].tolist() == [4, 5, 3] and int(memory.queue_ptr) == 2
    memory.update(torch.tensor([[6.0]]), torch.tensor([-1]))
    assert memory.queue[:, 0].tolist() == [4, 5, 6] and int(memory.queue_ptr) == 0
