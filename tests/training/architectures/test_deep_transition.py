import torch

from training.architectures.deep_transition import DeepTransition
from training.architectures.rnn import RNN


def test_one_layer_and_no_deep_output_is_the_simple_network(seed):
    torch.manual_seed(seed)
    cell, plain = DeepTransition(3, 4, transition=1).double(), RNN(3, 4).double()
    plain.load_state_dict(cell.state_dict())
    xs, state = torch.randn(2, 9, 3, dtype=torch.float64), cell.init_state(2)
    torch.testing.assert_close(cell.scan(xs, state)[0], plain.scan(xs, state)[0], rtol=0, atol=1e-12)


def test_a_deep_output_leaves_the_recurrence_alone(seed):
    torch.manual_seed(seed)
    cell, plain = DeepTransition(3, 4, transition=1, output=2), RNN(3, 4)
    plain.load_state_dict({name: tensor for name, tensor in cell.state_dict().items() if name in "UWb"})
    xs, state = torch.randn(2, 9, 3), cell.init_state(2)
    (ys, last), (_, plain_last) = cell.scan(xs, state), plain.scan(xs, state)
    torch.testing.assert_close(last["h"], plain_last["h"])
    assert not torch.allclose(ys[:, -1], last["h"])


def test_a_shortcut_carries_the_state_around_layers_that_say_nothing(seed):
    torch.manual_seed(seed)
    x, h = torch.randn(2, 3), torch.randn(2, 4)
    for shortcut in (True, False):
        cell = DeepTransition(3, 4, transition=3, shortcut=shortcut)
        with torch.no_grad():
            for layer in cell.transition:
                layer.weight.zero_()
        moved = cell.step(x, {"h": h})[0] != cell.step(x, {"h": h + 1})[0]
        assert bool(moved.any()) is shortcut


def test_an_orthogonal_way_is_the_shortcut_where_there_is_one_and_else_all_layers_of_the_transition(seed):
    torch.manual_seed(seed)
    around, through = (DeepTransition(3, 4, shortcut=shortcut, recurrent="orthogonal") for shortcut in (True, False))
    assert [_is_orthogonal(weight) for weight in (around.S, around.W)] == [True, False]
    assert [_is_orthogonal(weight) for weight in (through.W, through.transition[0].weight)] == [True, True]


def _is_orthogonal(weight: torch.Tensor) -> bool:
    return torch.allclose(weight @ weight.T, torch.eye(len(weight)), atol=1e-5)
