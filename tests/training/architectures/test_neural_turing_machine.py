import pytest
import torch

from training.architectures import build_cell
from training.architectures.neural_turing_machine import NeuralTuringMachine

SLOTS, WIDTH = 8, 3


def machine(**options) -> NeuralTuringMachine:
    return NeuralTuringMachine(2, 5, **{"slots": SLOTS, "width": WIDTH, **options}).double()


def emit(cell: NeuralTuringMachine, **numbers: list[float]) -> None:
    """Let the heads emit the same at every step, whatever is read: one read head, one write head."""
    places = {"k": 0, "beta": WIDTH, "gamma": WIDTH + 1, "g": WIDTH + 2, "s": WIDTH + 3}
    with torch.no_grad():
        cell.H.zero_()
        cell.p.zero_()
        for name, values in numbers.items():
            own = {"e": [2 * cell.addressed], "a": [2 * cell.addressed + WIDTH]}
            shared = [head * cell.addressed + places.get(name, 0) for head in range(2)]
            for first in own.get(name, shared):
                cell.p[first : first + len(values)] = torch.tensor(values)


def test_a_sequence_begins_at_slot_0_of_an_all_but_empty_memory():
    state = machine(reads=2).init_state(4)
    assert {name: tuple(tensor.shape) for name, tensor in state.items()} == {
        "h": (4, 5),
        "c": (4, 5),
        "M": (4, SLOTS, WIDTH),
        "w": (4, 3, SLOTS),
        "r": (4, 2 * WIDTH),
    }
    assert bool((state["M"] == 1e-6).all())
    assert bool((state["w"][..., 0] == 1).all())
    assert bool((state["w"].sum(-1) == 1).all())


def test_weights_stay_shares_however_long_a_sequence_is(seed):
    torch.manual_seed(seed)
    cell = machine(reads=2, writes=2)
    with torch.no_grad():
        cell.H.mul_(20)
    _, state = cell.scan(torch.randn(3, 300, 2).double(), cell.init_state(3))
    assert bool((state["w"] >= 0).all())
    torch.testing.assert_close(state["w"].sum(-1), torch.ones(3, 4).double())


def test_heads_that_walk_write_and_read_one_slot_after_the_other():
    cell = machine()
    emit(cell, g=[-50], s=[-50, -50, 50], gamma=[20], e=[50] * WIDTH, a=[0.3, -0.1, 0.2])
    state, added = cell.init_state(1), torch.tensor([0.3, -0.1, 0.2]).double().tanh()
    for step in range(1, SLOTS + 3):
        _, state = cell.step(torch.randn(1, 2).double(), state)
        assert state["w"].argmax(-1).tolist() == [[step % SLOTS] * 2]
        written = torch.arange(1, SLOTS + 1) <= step
        torch.testing.assert_close(state["M"][0].roll(-1, 0)[written], added.expand(int(written.sum()), -1))
        assert bool((state["M"][0].roll(-1, 0)[~written] == 1e-6).all())
        torch.testing.assert_close(state["r"][0], added)


def test_what_is_erased_is_gone_and_what_is_not_stays():
    cell = machine()
    emit(cell, g=[-50], s=[-50, 50, -50], gamma=[20], e=[50, -50, 0])
    state = cell.init_state(1)
    state["M"] = torch.ones_like(state["M"])
    _, after = cell.step(torch.zeros(1, 2).double(), state)
    torch.testing.assert_close(after["M"][0, 0], torch.tensor([0, 1, 0.5]).double())
    assert bool((after["M"][0, 1:] == 1).all())


def test_in_which_order_heads_write_does_not_matter(seed):
    torch.manual_seed(seed)
    cell = machine(writes=3)
    M, w = torch.randn(2, SLOTS, WIDTH).double(), torch.rand(2, 3, SLOTS, 1).double()
    e, a = torch.rand(2, 3 * WIDTH).double(), torch.randn(2, 3 * WIDTH).double()
    order = torch.tensor([2, 0, 1])
    turned = [v.view(2, 3, WIDTH)[:, order].reshape(2, -1) for v in (e, a)]
    torch.testing.assert_close(cell._write(M, w, e, a), cell._write(M, w[:, order], *turned))


def test_the_controllers_first_state_is_learnt():
    cell = machine()
    cell.scan(torch.randn(3, 4, 2).double(), cell.init_state(3))[0].square().sum().backward()
    assert all(bool(cell.first[name].grad.any()) for name in ("h", "c"))


def test_a_controller_without_a_memory_of_its_own_has_no_state():
    assert machine(controller="feed_forward").init_state(1).keys() == {"M", "w", "r"}


def test_a_ring_that_shifts_would_lap_is_refused_by_its_size():
    with pytest.raises(ValueError, match="4 slots are too few for shifts of 2 either way; there must be 5"):
        build_cell("neural_turing_machine", 2, 5, {"slots": 4, "shift": 2})
