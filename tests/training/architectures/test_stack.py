import pytest
import torch

from training.architectures import build_cell
from training.architectures.lstm import LSTM
from training.architectures.stack import Stack


def stack(**options: object) -> Stack:
    built = build_cell("stack", 3, 4, {"layers": ("lstm", "elman", "gru"), **options})
    assert isinstance(built, Stack)
    return built


def test_each_layer_reads_what_the_one_below_puts_out(seed):
    torch.manual_seed(seed)
    cell, xs = stack(), torch.randn(2, 9, 3)
    ys = xs
    for layer in cell.layers:
        ys, _ = layer.scan(ys, layer.init_state(2))
    torch.testing.assert_close(cell.scan(xs, cell.init_state(2))[0], ys)


def test_states_are_named_after_their_layers():
    assert list(stack().init_state(1)) == ["0.h", "0.c", "1.h", "2.h"]


def test_a_dense_stack_reads_and_puts_out_all_layers(seed):
    torch.manual_seed(seed)
    cell = stack(skip="dense")
    assert [layer.input_size for layer in cell.layers] == [3, 7, 11]
    assert cell.output_size == 12
    ys, state = cell.scan(torch.randn(2, 9, 3), cell.init_state(2))
    torch.testing.assert_close(ys[:, -1], torch.cat([state[f"{layer}.h"] for layer in range(3)], -1))


def test_a_residual_layer_that_says_nothing_lets_through_what_is_below(seed):
    torch.manual_seed(seed)
    cell, lowest = stack(skip="residual"), LSTM(3, 4)
    lowest.load_state_dict(cell.layers[0].state_dict())
    assert [cell.goes_around(layer) for layer in range(3)] == [False, True, True]
    with torch.no_grad():
        for layer in cell.layers[1:]:
            for parameter in layer.parameters():
                parameter.zero_()
    xs = torch.randn(2, 9, 3)
    torch.testing.assert_close(cell.scan(xs, cell.init_state(2))[0], lowest.scan(xs, lowest.init_state(2))[0])


def test_normalised_outputs_have_no_mean_and_unit_variance_whatever_the_batch(seed):
    torch.manual_seed(seed)
    cell = build_cell("stack", 3, 64, {"layers": ["elman"], "normalise": True})
    ys, _ = cell.scan(10 * torch.randn(5, 9, 3), cell.init_state(5))
    torch.testing.assert_close(ys.mean(-1), torch.zeros(5, 9), rtol=0, atol=1e-5)
    torch.testing.assert_close(ys.var(-1, unbiased=False), torch.ones(5, 9), rtol=0, atol=1e-2)


def dropped_steps(variational: bool) -> torch.Tensor:
    """Which of the first layer's outputs, ones everywhere, reach the second, `[batch, time, features]`."""
    cell = build_cell("stack", 3, 32, {"layers": ["elman", "elman"], "dropout": 0.5, "variational": variational})
    assert isinstance(cell, Stack)
    return cell._dropped(torch.ones(2, 20, 32)) == 0


def test_dropout_is_anew_at_each_step_or_for_a_whole_sequence(seed):
    torch.manual_seed(seed)
    plain, variational = dropped_steps(variational=False), dropped_steps(variational=True)
    for dropped in (plain, variational):
        assert 0.2 < dropped.float().mean() < 0.8
    assert bool((variational == variational[:, :1]).all())
    assert not bool((plain == plain[:, :1]).all())
    assert not torch.equal(variational[0], variational[1])


@pytest.mark.parametrize("variational", [False, True])
def test_dropout_is_there_in_training_alone_and_not_on_the_inputs(variational, seed):
    torch.manual_seed(seed)
    cell = stack(dropout=0.5, variational=variational)
    xs, state = torch.randn(2, 9, 3), cell.init_state(2)
    assert not torch.equal(cell.scan(xs, state)[0], cell.scan(xs, state)[0])
    first = [cell.scan(xs, state)[1]["0.h"] for _ in range(2)]
    assert torch.equal(first[0], first[1])
    cell.eval()
    assert torch.equal(cell.scan(xs, state)[0], cell.scan(xs, state)[0])
