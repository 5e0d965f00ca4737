"""One suite over the architectures that read whole sequences."""

from collections.abc import Callable

import numpy as np
import onnx
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from tests.conformance.cells import (
    INPUT,
    ROWS,
    SINGLE,
    TIME,
    WHOLE,
    Kind,
    build,
    case,
    exported,
    one_thread,
    some_inputs,
    some_trial,
)
from training.architectures.bidirectional import Bidirectional, reverse
from training.export.lint import varying_operators
from training.verify import answers

__all__ = ["one_thread"]

EXACT = 1e-12
LENGTHS = torch.tensor([3, TIME, 1, 5])

Check = Callable[[Kind], None]


def scan(cell, xs: Tensor, lengths: Tensor | None = None) -> Tensor:
    ys, state = cell.scan(xs, cell.init_state(len(xs)), lengths)
    assert state == {}
    return ys


def check_shapes(kind: Kind) -> None:
    cell = build(kind)
    assert (cell.causal, cell.input_size, cell.init_state(ROWS)) == (False, INPUT, {})
    assert scan(cell, some_inputs()).shape == (ROWS, TIME, cell.output_size)


def check_ragged_rows_are_as_alone_and_padding_is_not_read(kind: Kind) -> None:
    cell, xs = build(kind), some_inputs()
    ys, padded = scan(cell, xs, LENGTHS), xs.clone()
    for row, length in enumerate(LENGTHS.tolist()):
        alone = scan(cell, xs[row : row + 1, :length])
        torch.testing.assert_close(ys[row : row + 1, :length], alone, rtol=0, atol=EXACT)
        assert not ys[row, length:].any()
        padded[row, length:] = 1e6
    assert torch.equal(scan(cell, padded, LENGTHS), ys)


def check_the_ends_reach_each_other(kind: Kind) -> None:
    cell, xs = build(kind), some_inputs()
    ys = scan(cell, xs, LENGTHS)
    for row, length in enumerate(LENGTHS.tolist()):
        for changed, seen in ((length - 1, 0), (0, length - 1)):
            other = xs.clone()
            other[row, changed] += 1
            assert not torch.allclose(scan(cell, other, LENGTHS)[row, seen], ys[row, seen], rtol=0, atol=1e-9)


def check_rows_do_not_mix(kind: Kind) -> None:
    cell, xs, order = build(kind), some_inputs(), torch.tensor([2, 0, 3, 1])
    ys = scan(cell, xs, LENGTHS)
    torch.testing.assert_close(scan(cell, xs[order], LENGTHS[order]), ys[order], rtol=0, atol=EXACT)


def check_gradients(kind: Kind) -> None:
    cell = build(kind)
    lengths = torch.tensor([2, 3])
    assert torch.autograd.gradcheck(lambda xs: scan(cell, xs, lengths), some_inputs(2, 3).requires_grad_())


def check_gradients_reach_every_parameter(kind: Kind) -> None:
    cell = build(kind)
    scan(cell, some_inputs(), LENGTHS).square().mean().backward()
    for name, parameter in cell.named_parameters():
        assert parameter.grad is not None, name
        assert bool(parameter.grad.any()), name


def check_the_graph_answers_as_torch(kind: Kind) -> None:
    done = exported(kind)
    assert done.step is None
    for lengths in ([1], [TIME], [3, TIME, 1, 5], [2] * 17):
        trial = some_trial(done.model, lengths)
        outputs, states = done.runner.run({"x": trial.x}, trial.lengths, {})
        assert states == {}
        np.testing.assert_allclose(outputs["y"], answers(done.model, trial)["y"], rtol=SINGLE / 10, atol=SINGLE)


def check_any_batch_gives_the_same_bits(kind: Kind) -> None:
    done, lengths = exported(kind), torch.randint(1, TIME + 1, (23,))
    trial = some_trial(done.model, lengths.tolist())
    ys = done.runner.run({"x": trial.x}, trial.lengths, {})[0]["y"]
    for size in (1, 2, 7):
        rows = torch.randperm(23)[:size].numpy()
        most = int(trial.lengths[rows].max())
        found = done.runner.run({"x": trial.x[rows, :most]}, trial.lengths[rows], {})[0]["y"]
        assert found.tobytes() == ys[rows, :most].tobytes()


def check_the_graph_has_only_what_keeps_rows_apart(kind: Kind) -> None:
    graph = exported(kind).main
    assert varying_operators(graph) == []
    onnx.checker.check_model(onnx.load_from_string(graph), full_check=True)


CHECKS: list[Check] = [
    check_shapes,
    check_ragged_rows_are_as_alone_and_padding_is_not_read,
    check_the_ends_reach_each_other,
    check_rows_do_not_mix,
    check_gradients,
    check_gradients_reach_every_parameter,
    check_the_graph_answers_as_torch,
    check_any_batch_gives_the_same_bits,
    check_the_graph_has_only_what_keeps_rows_apart,
]


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("name", WHOLE)
def test_every_whole_architecture_holds_what_they_hold(name, check, seed):
    torch.manual_seed(seed)
    check(WHOLE[name])


@pytest.mark.parametrize("name", WHOLE)
def test_onnx_runtime_says_nothing_as_it_loads_and_runs_one(name, capfd):
    done = exported(WHOLE[name])
    for lengths in ([4], [3, 9, 1], [1] * 5):
        done.runner.run({"x": some_trial(done.model, lengths).x}, np.array(lengths), {})
    assert capfd.readouterr() == ("", "")


@settings(max_examples=20)
@given(lengths=st.lists(st.integers(1, 12), min_size=1, max_size=9))
def test_a_row_is_turned_around_at_its_own_length(lengths):
    xs = torch.arange(len(lengths) * max(lengths) * 2.0).view(len(lengths), max(lengths), 2)
    turned = reverse(xs, torch.tensor(lengths))
    for row, length in enumerate(lengths):
        assert torch.equal(turned[row, :length], xs[row, :length].flip(0))
        assert torch.equal(turned[row, length:], xs[row, length:])


@pytest.mark.parametrize("merge", ["concat", "sum"])
def test_both_halves_are_the_cells_own(seed, merge):
    torch.manual_seed(seed)
    cell, xs = build(case("bidirectional", merge=merge)), some_inputs()
    assert isinstance(cell, Bidirectional)
    onward = cell.forward_cell.scan(xs, cell.forward_cell.init_state(ROWS))[0]
    back = cell.backward_cell.scan(xs.flip(1), cell.backward_cell.init_state(ROWS))[0].flip(1)
    expected = torch.cat([onward, back], -1) if merge == "concat" else onward + back
    torch.testing.assert_close(scan(cell, xs), expected, rtol=0, atol=EXACT)


def test_a_far_look_ahead_is_the_whole_form_late(seed):
    torch.manual_seed(seed)
    whole, late = build(case("bidirectional")), build(case("lookahead", context=TIME - 1))
    late.load_state_dict(whole.state_dict())
    xs = some_inputs()
    # Where what follows the end leaves the second cell at its first state, as a gate that is shut does not, they agree
    # at the first step alone, whose window is the whole sequence.
    ys, _ = late.scan(xs, late.init_state(ROWS))
    torch.testing.assert_close(ys[:, -1], scan(whole, xs)[:, 0], rtol=0, atol=EXACT)
    assert not ys[:, :-1].any()


def test_a_layer_that_reads_whole_sequences_has_no_step():
    with pytest.raises(TypeError, match="no step"):
        build(WHOLE["bidirectional"]).step(torch.zeros(1, INPUT), {})


def test_a_backward_half_that_starts_at_the_padded_end_turns_the_suite_red(seed, monkeypatch):
    torch.manual_seed(seed)
    monkeypatch.setattr("training.architectures.bidirectional.reverse", lambda xs, _: xs.flip(1))
    with pytest.raises(AssertionError):
        check_ragged_rows_are_as_alone_and_padding_is_not_read(WHOLE["bidirectional"])
