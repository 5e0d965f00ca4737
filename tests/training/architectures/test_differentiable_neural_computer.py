from itertools import pairwise

import pytest
import torch
from torch import Tensor

from training.architectures.differentiable_neural_computer import (
    DifferentiableNeuralComputer,
    allocation,
    link,
    precedence,
    product,
    usage,
)

SLOTS, WIDTH = 8, 3
# The parts of the interface of one read head, in their order.
PLACES = ("k_r", "beta_r", "k_w", "beta_w", "e", "v", "f", "g_a", "g_w", "pi")
# Logits of no and of yes.
NO, YES = -50.0, 50.0
ALLOCATES = {"g_a": [YES], "g_w": [YES], "e": [YES] * WIDTH}


def computer(**options) -> DifferentiableNeuralComputer:
    return DifferentiableNeuralComputer(2, 5, **{"slots": SLOTS, "width": WIDTH, **options}).double()


def emit(cell: DifferentiableNeuralComputer, **numbers: list[float]) -> None:
    """Let the controller emit the same at every step, whatever is read; zeros where nothing is said."""
    firsts = dict(zip(PLACES, torch.tensor([0, *cell.emitted]).cumsum(0).tolist(), strict=False))
    with torch.no_grad():
        cell.W_xi.zero_()
        cell.b_xi.zero_()
        for name, values in numbers.items():
            cell.b_xi[firsts[name] : firsts[name] + len(values)] = torch.tensor(values)


def step(cell: DifferentiableNeuralComputer, state: dict[str, Tensor], **numbers: list[float]) -> dict[str, Tensor]:
    emit(cell, **numbers)
    return cell.step(torch.randn(1, 2).double(), state)[1]


def written(cell: DifferentiableNeuralComputer, vectors: list[list[float]]) -> dict[str, Tensor]:
    """Write a vector at each step to what is free, and keep it."""
    state = cell.init_state(1)
    for vector in vectors:
        state = step(cell, state, **ALLOCATES, v=vector, f=[NO])
    return state


def one_hot(*slots: int) -> Tensor:
    return torch.eye(SLOTS).double()[list(slots)]


def test_a_sequence_begins_with_nothing_written_used_or_linked():
    state = computer(reads=2).init_state(4)
    assert {name: tuple(tensor.shape) for name, tensor in state.items()} == {
        "h": (4, 5),
        "c": (4, 5),
        "M": (4, SLOTS, WIDTH),
        "u": (4, SLOTS),
        "p": (4, SLOTS),
        "L": (4, SLOTS, SLOTS),
        "w_w": (4, SLOTS),
        "w_r": (4, 2, SLOTS),
        "r": (4, 2 * WIDTH),
    }
    assert not any(tensor.any() for tensor in state.values())


def test_a_controller_without_a_memory_of_its_own_has_no_state():
    assert computer(controller="feed_forward").init_state(1).keys() == {"M", "u", "p", "L", "w_w", "w_r", "r"}


def test_the_least_used_slot_is_allocated():
    u = torch.tensor([[1, 0.9, 0, 1, 1, 0.8, 1, 1], [0.5, 0.25, 1, 1, 1, 1, 1, 1]]).double()
    a = allocation(u)
    torch.testing.assert_close(a[0], one_hot(2)[0])
    torch.testing.assert_close(a[1, :3], torch.tensor([0.5 * 0.25, 0.75, 0]).double())


def test_slots_that_are_used_alike_are_allocated_in_order_whatever_their_last_digits():
    u = torch.full((1, SLOTS), 0.5).double()
    expected = 0.5 ** torch.arange(1, SLOTS + 1).double()
    for digits in (torch.zeros(SLOTS), 1e-6 * torch.arange(SLOTS, 0, -1)):
        torch.testing.assert_close(allocation(u + digits)[0], expected, rtol=1e-4, atol=1e-4)


def test_a_full_memory_has_nothing_to_allocate():
    assert not allocation(torch.ones(1, SLOTS).double()).any()


@pytest.mark.parametrize("size", [1, 2, 3, 7, 8, 13])
def test_products_are_of_all_numbers_and_have_gradients_at_zero(size, seed):
    torch.manual_seed(seed)
    a = torch.randn(3, size).double()
    torch.testing.assert_close(product(a), a.prod(-1))
    a[0, 0] = 0
    given = a.requires_grad_()
    (found,) = torch.autograd.grad(product(given).sum(), given)
    (expected,) = torch.autograd.grad(given.prod(-1).sum(), given)
    torch.testing.assert_close(found, expected)


def test_what_is_written_is_used_until_it_was_read_and_freed():
    nothing, w_w, w_r = torch.zeros(1, SLOTS).double(), one_hot(1), one_hot(1)[None]
    used = usage(nothing, w_w, 0 * w_r, torch.ones(1, 1, 1).double())
    torch.testing.assert_close(used, one_hot(1))
    torch.testing.assert_close(usage(used, 0 * w_w, w_r, torch.zeros(1, 1, 1).double()), one_hot(1))
    torch.testing.assert_close(usage(used, 0 * w_w, w_r, torch.full((1, 1, 1), 0.75).double()), 0.25 * one_hot(1))


def test_each_vector_gets_a_slot_of_its_own_until_the_memory_is_full():
    cell = computer()
    vectors = torch.randn(SLOTS + 1, WIDTH).double()
    state = written(cell, vectors.tolist())
    torch.testing.assert_close(state["M"][0], vectors[:-1])


def test_a_slot_that_was_freed_is_allocated_again():
    cell = computer()
    state = written(cell, [[1.0, 0, 0], [0, 1.0, 0], [0, 0, 1.0]])
    idle = {"g_w": [NO], "k_r": [0, 50.0, 0], "beta_r": [50.0], "pi": [NO, YES, NO]}
    state = step(cell, state, **idle, f=[NO])
    torch.testing.assert_close(state["w_r"][0], one_hot(1))
    state = step(cell, state, **idle, f=[YES])
    torch.testing.assert_close(state["u"], one_hot(0, 2).sum(0, keepdim=True))
    state = step(cell, state, **ALLOCATES, v=[7.0, 7.0, 7.0], f=[NO])
    torch.testing.assert_close(state["w_w"], one_hot(1))
    assert state["M"][0, 1].tolist() == [7.0, 7.0, 7.0]
    assert state["M"][0, 0].tolist() == [1.0, 0, 0]


def test_reading_follows_the_order_of_writing_forwards_and_backwards():
    cell = computer()
    vectors = [[1.0, 0, 0], [0, 1.0, 0], [0, 0, 1.0], [1.0, 1.0, 0]]
    state = written(cell, vectors)
    idle = {"g_w": [NO], "f": [NO]}
    state = step(cell, state, **idle, k_r=[50.0, 0, 0], beta_r=[100.0], pi=[NO, YES, NO])
    for mode, slots in (([NO, NO, YES], (1, 2, 3)), ([YES, NO, NO], (2, 1, 0))):
        for slot in slots:
            state = step(cell, state, **idle, pi=mode)
            torch.testing.assert_close(state["r"][0], torch.tensor(vectors[slot]).double())
    before_the_first = step(cell, state, **idle, pi=[YES, NO, NO])["r"]
    torch.testing.assert_close(before_the_first, torch.zeros(1, WIDTH).double())


def test_links_follow_what_was_written_whatever_place_it_has():
    order, L, p = (5, 2, 7, 0), torch.zeros(1, SLOTS, SLOTS).double(), torch.zeros(1, SLOTS).double()
    for slot in order:
        L, p = link(L, p, one_hot(slot)), precedence(p, one_hot(slot))
    expected = torch.zeros(SLOTS, SLOTS).double()
    for before, after in pairwise(order):
        expected[after, before] = 1
    assert torch.equal(L[0], expected)
    assert torch.equal(p, one_hot(0))


def test_a_slot_that_is_written_anew_loses_its_old_links():
    L, p = torch.zeros(1, SLOTS, SLOTS).double(), torch.zeros(1, SLOTS).double()
    for slot in (0, 1, 2, 1):
        L, p = link(L, p, one_hot(slot)), precedence(p, one_hot(slot))
    assert L[0].nonzero().tolist() == [[1, 2]]


def test_weights_are_shares_however_long_a_sequence_is(seed):
    torch.manual_seed(seed)
    cell = computer(reads=2)
    with torch.no_grad():
        cell.W_xi.mul_(20)
    state, most = cell.init_state(3), 1 + 1e-9
    for x in torch.randn(200, 3, 2).double():
        _, state = cell.step(x, state)
        shares = [state["w_w"], state["w_r"], state["p"], state["L"], state["L"].transpose(1, 2)]
        assert all(bool((weights >= 0).all() & (weights.sum(-1) <= most).all()) for weights in shares)
        assert bool((state["u"] >= 0).all() & (state["u"] <= most).all())
        assert not state["L"].diagonal(dim1=1, dim2=2).any()


def test_rows_that_read_the_same_answer_the_same(seed):
    torch.manual_seed(seed)
    cell = computer(reads=2)
    xs = torch.randn(1, 30, 2).double()
    alone, _ = cell.scan(xs, cell.init_state(1))
    together, _ = cell.scan(torch.cat([xs, torch.randn(2, 30, 2).double(), xs]), cell.init_state(4))
    for row in (0, 3):
        torch.testing.assert_close(together[row], alone[0], rtol=0, atol=1e-12)
