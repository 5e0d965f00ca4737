"""One suite over the table of architectures: what every cell must hold."""

from collections.abc import Callable
from functools import partial

import numpy as np
import onnx
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import numpy_helper
from torch import Tensor

from models.errors import ModelDamaged, RowsInvalid
from tests.conformance.cells import (
    CASES,
    HIDDEN,
    INPUT,
    ROWS,
    SINGLE,
    TIME,
    Kind,
    build,
    case,
    disturb,
    exported,
    model_of,
    one_thread,
    some_inputs,
    some_state,
    some_trial,
)
from tests.conformance.equations import EQUATIONS
from training.architectures import ARCHITECTURES
from training.architectures.lstm import LSTM
from training.architectures.stack import Stack
from training.architectures.transducer import Transducer
from training.cell import Cell, State
from training.export.graph import export
from training.export.lint import varying_operators
from training.export.recurrence import has_native
from training.verify import Trial, answers

__all__ = ["one_thread"]

EXACT = 1e-12
# What the table says in words of the cells that these are made of.
IN_PROSE = ("attention", "encoder_decoder", "stack", "transducer")

Check = Callable[[Kind], None]


def assert_same(found: tuple[Tensor, State], expected: tuple[Tensor, State], tolerance: float = EXACT) -> None:
    (y, state), (wanted_y, wanted_state) = found, expected
    torch.testing.assert_close(y, wanted_y, rtol=0, atol=tolerance)
    assert state.keys() == wanted_state.keys()
    for name, tensor in state.items():
        torch.testing.assert_close(tensor, wanted_state[name], rtol=0, atol=tolerance)


def repeat_step(cell: Cell, xs: Tensor, state: State) -> tuple[Tensor, State]:
    outputs = []
    for x in xs.unbind(1):
        y, state = cell.step(x, state)
        outputs.append(y)
    return torch.stack(outputs, 1), state


def rows_of(state: State, rows: Tensor | slice) -> State:
    return {name: tensor[rows] for name, tensor in state.items()}


def check_shapes_and_dtypes(kind: Kind) -> None:
    for double in (False, True):
        cell = build(kind, double=double)
        dtype = torch.float64 if double else torch.float32
        state = cell.init_state(ROWS)
        assert cell.input_size == INPUT
        assert all(tensor.shape[0] == ROWS and tensor.dtype in (dtype, torch.int64) for tensor in state.values())
        y, next_state = cell.step(torch.randn(ROWS, INPUT, dtype=dtype), state)
        assert y.shape == (ROWS, cell.output_size)
        assert y.dtype == dtype
        ys, last_state = cell.scan(torch.randn(ROWS, TIME, INPUT, dtype=dtype), state)
        assert ys.shape == (ROWS, TIME, cell.output_size)
        assert ys.dtype == dtype
        for after in (next_state, last_state):
            assert {n: (t.shape, t.dtype) for n, t in after.items()} == {
                n: (t.shape, t.dtype) for n, t in state.items()
            }


def check_scan_is_step_repeated(kind: Kind) -> None:
    cell = build(kind)
    xs, state = some_inputs(), some_state(cell)
    assert_same(cell.scan(xs, state), repeat_step(cell, xs, state))
    full = torch.full((ROWS,), TIME)
    assert_same(cell.scan(xs, state, full), repeat_step(cell, xs, state))


def check_ragged_rows_are_as_alone(kind: Kind) -> None:
    cell = build(kind)
    xs, state, lengths = some_inputs(), some_state(cell), torch.tensor([3, TIME, 1, 5])
    ys, last_state = cell.scan(xs, state, lengths)
    padded = xs.clone()
    for row, length in enumerate(lengths.tolist()):
        alone = cell.scan(xs[row : row + 1, :length], rows_of(state, slice(row, row + 1)))
        assert_same((ys[row : row + 1, :length], rows_of(last_state, slice(row, row + 1))), alone)
        assert torch.equal(ys[row, length:], torch.zeros_like(ys[row, length:]))
        padded[row, length:] = 1e6
    again = cell.scan(padded, state, lengths)
    assert torch.equal(again[0], ys)
    assert all(torch.equal(tensor, last_state[name]) for name, tensor in again[1].items())


def check_chunks_are_as_whole(kind: Kind) -> None:
    cell = build(kind)
    xs, state = some_inputs(), some_state(cell)
    outputs, carried = [], state
    for chunk in xs.split([2, 1, TIME - 3], dim=1):
        ys, carried = cell.scan(chunk, carried)
        outputs.append(ys)
    assert_same((torch.cat(outputs, 1), carried), cell.scan(xs, state))


def check_rows_do_not_mix(kind: Kind) -> None:
    cell = build(kind)
    xs, state, order = some_inputs(), some_state(cell), torch.tensor([2, 0, 3, 1])
    ys, last_state = cell.scan(xs, state)
    assert_same(cell.scan(xs[order], rows_of(state, order)), (ys[order], rows_of(last_state, order)))
    for at in range(ROWS):
        changed = xs.clone()
        changed[at] += 1
        differs = (cell.scan(changed, state)[0] != ys).flatten(1).any(1)
        assert differs.tolist() == [row == at for row in range(ROWS)]


def check_the_future_does_not_reach_back(kind: Kind) -> None:
    cell = build(kind)
    xs, state = some_inputs(), some_state(cell)
    changed = xs.clone()
    changed[:, 5:] += 1
    ys, other = cell.scan(xs, state)[0], cell.scan(changed, state)[0]
    torch.testing.assert_close(ys[:, :5], other[:, :5], rtol=0, atol=EXACT)
    assert not torch.allclose(ys[:, 5], other[:, 5])


def put_out_labels(cell: Cell) -> None:
    """Let a transducer never prefer the blank, after which its prediction would stay as it is."""
    for module in cell.modules():
        if isinstance(module, Transducer):
            module.O.bias.data[module.blank] = -100.0


def check_the_first_state_matters(kind: Kind) -> None:
    cell = build(kind)
    put_out_labels(cell)
    xs, state = some_inputs(time=1 if cell.delay else 2), some_state(cell)
    if cell.delay:
        # How many steps were seen, and what was, matter where an answer hangs on them.
        state |= {"seen": torch.full_like(state["seen"], cell.delay - 1)}
        assert not cell.scan(xs, state)[0].any()
        state |= {"seen": state["seen"] + 1}
    y = cell.scan(xs, state)[0]
    for name in state.keys() - {"seen"}:
        # Not one number for all: what is weighed against each other would not show it.
        other = torch.randn_like(state[name]) if state[name].is_floating_point() else 1
        assert not torch.allclose(cell.scan(xs, state | {name: state[name] + other})[0], y), name


def check_gradients(kind: Kind) -> None:
    cell = build(kind)
    state = {name: tensor.detach() for name, tensor in some_state(cell, 2).items()}
    names = [name for name, tensor in state.items() if tensor.is_floating_point()]

    def scanned(xs: Tensor, *tensors: Tensor) -> tuple[Tensor, ...]:
        ys, last = cell.scan(xs, state | dict(zip(names, tensors, strict=True)), torch.tensor([2, 3]))
        return (ys, *(last[name] for name in names))

    given = [some_inputs(2, 3), *(state[name] for name in names)]
    # A small step: where a cell sorts its places by use, a larger one now and then meets two that change their order.
    assert torch.autograd.gradcheck(scanned, [tensor.requires_grad_() for tensor in given], eps=1e-7)


def check_gradients_reach_every_parameter(kind: Kind) -> None:
    cell = build(kind)
    if not any(True for _ in cell.parameters()):
        return
    ys, _ = cell.scan(some_inputs(time=200), some_state(cell))
    ys.square().mean().backward()
    for name, parameter in cell.named_parameters():
        assert parameter.grad is not None, name
        assert bool(parameter.grad.isfinite().all()), name
        assert bool(parameter.grad.any()), name


def check_fused_gradients_are_those_of_step(kind: Kind) -> None:
    cell = build(kind)
    xs, state = some_inputs(), some_state(cell)
    parameters = [*cell.parameters(), xs.requires_grad_()]
    gradients = [
        torch.autograd.grad(run(xs, state)[0].square().sum(), parameters, retain_graph=True)
        for run in (cell.scan, partial(repeat_step, cell))
    ]
    for fused, stepped in zip(*gradients, strict=True):
        torch.testing.assert_close(fused, stepped, rtol=1e-10, atol=1e-10)


def check_a_seed_decides_the_parameters(kind: Kind) -> None:
    def parameters(seed: int) -> list[Tensor]:
        torch.manual_seed(seed)
        return [tensor for tensor in build(kind).state_dict().values() if tensor.is_floating_point()]

    first, again, other = parameters(1), parameters(1), parameters(2)
    assert all(torch.equal(one, two) for one, two in zip(first, again, strict=True))
    assert not all(torch.equal(one, two) for one, two in zip(first, other, strict=True))


def check_the_step_is_the_papers(kind: Kind) -> None:
    cell = build(kind)
    if isinstance(cell, Stack):
        return
    disturb(cell)
    numbers = {name: tensor.numpy() for name, tensor in cell.state_dict().items()}
    xs, state = some_inputs(time=3), some_state(cell)
    for x in xs.unbind(1):
        y, next_state = cell.step(x, state)
        for row in range(ROWS):
            one = {name: tensor[row].detach().numpy() for name, tensor in state.items()}
            expected, after = EQUATIONS[type(cell)](numbers, cell, x[row].numpy(), one)
            np.testing.assert_allclose(y[row].detach().numpy(), expected, rtol=0, atol=EXACT)
            assert after.keys() == next_state.keys()
            for name, tensor in next_state.items():
                np.testing.assert_allclose(tensor[row].detach().numpy(), after[name], rtol=0, atol=EXACT)
        state = next_state


def check_the_graph_answers_as_torch(kind: Kind) -> None:
    model, runner = exported(kind).model, exported(kind).runner
    for lengths in ([1], [TIME], [3, TIME, 1, 5], [2] * 17):
        trial = some_trial(model, lengths)
        outputs, next_states = runner.run({"x": trial.x}, trial.lengths, trial.states)
        found = outputs | {f"next_{name}": array for name, array in next_states.items()}
        for name, expected in answers(model, trial).items():
            # Numbers above 1 have fewer digits after the point.
            np.testing.assert_allclose(found[name], expected, rtol=SINGLE / 10, atol=SINGLE)


def check_the_graph_begins_as_torch_does(kind: Kind) -> None:
    model, runner = exported(kind).model, exported(kind).runner
    trial = some_trial(model, [TIME, 1, 5])
    states = {f"state.{name}": tensor.detach().numpy() for name, tensor in model.cell.init_state(3).items()}
    outputs, _ = runner.run({"x": trial.x}, trial.lengths, states)
    expected = answers(model, Trial(trial.x, trial.lengths, states))["y"]
    np.testing.assert_allclose(outputs["y"], expected, rtol=SINGLE / 10, atol=SINGLE)


def check_any_batch_and_any_chunks_give_the_same_bits(kind: Kind) -> None:
    model, runner = exported(kind).model, exported(kind).runner
    lengths = torch.randint(1, TIME + 1, (23,))
    lengths[3] = TIME
    trial = some_trial(model, lengths.tolist())
    ys, states = runner.run({"x": trial.x}, trial.lengths, trial.states)
    for size in (1, 2, 7):
        rows = torch.randperm(23)[:size].numpy()
        state = {name: array[rows] for name, array in trial.states.items()}
        left, start = trial.lengths[rows].copy(), 0
        while left.any():
            end = int(torch.randint(start + 1, TIME + 1, (1,)))
            going = left > 0
            steps = np.minimum(left, end - start)[going]
            x = trial.x[rows][going, start : start + int(steps.max())]
            given = {name: array[going] for name, array in state.items()}
            found, after = runner.run({"x": x}, steps, given)
            for place, row in enumerate(rows[going]):
                of_row = slice(start, start + int(steps[place]))
                assert found["y"][place, : steps[place]].tobytes() == ys["y"][row, of_row].tobytes()
            for name, array in after.items():
                state[name][going] = array
            left[going] -= steps
            start = end
        assert all(array.tobytes() == states[name][rows].tobytes() for name, array in state.items())


def check_the_step_graph_gives_the_main_graphs_bits(kind: Kind) -> None:
    graphs = exported(kind)
    assert (graphs.step is None) == has_native(graphs.model.cell)
    trial = some_trial(graphs.model, [1] * ROWS)
    answered = [graphs.runner.run({"x": trial.x}, trial.lengths, trial.states, step=step) for step in (True, False)]
    for found, expected in zip(*answered, strict=True):
        assert all(array.tobytes() == expected[name].tobytes() for name, array in found.items())


def check_the_graph_has_only_what_keeps_rows_apart(kind: Kind) -> None:
    for graph in filter(None, (exported(kind).main, exported(kind).step)):
        assert varying_operators(graph) == []
        proto = onnx.load_from_string(graph)
        onnx.checker.check_model(proto, full_check=True)
        # A weight that is computed at each step is not packed, and its product may sum otherwise.
        weights = {tensor.name for tensor in proto.graph.initializer}
        bodies = [attribute.g for node in proto.graph.node for attribute in node.attribute]
        computed: set[str] = set()
        for node in (node for part in (*bodies, proto.graph) for node in part.node):
            if set(node.input) <= weights | computed:
                computed |= set(node.output)
            assert node.op_type not in ("MatMul", "Gemm") or node.input[1] not in computed


def check_a_state_of_the_wrong_shape_is_refused(kind: Kind) -> None:
    graphs = exported(kind)
    trial = some_trial(graphs.model, [3, TIME])
    for name, array in trial.states.items():
        for wrong in (array[:1], array[..., :0], array[None], np.concatenate([array, array], -1)):
            states = trial.states | {name: wrong}
            # A wrong count of rows is found within a native node only, which then fails.
            with pytest.raises((RowsInvalid, ModelDamaged)):
                graphs.runner.run({"x": trial.x}, trial.lengths, states)
            with pytest.raises(ValueError, match=rf"state '{name.removeprefix('state.')}' is \["):
                answers(graphs.model, Trial(trial.x, trial.lengths, states))


CHECKS: list[Check] = [
    check_shapes_and_dtypes,
    check_scan_is_step_repeated,
    check_ragged_rows_are_as_alone,
    check_chunks_are_as_whole,
    check_rows_do_not_mix,
    check_the_future_does_not_reach_back,
    check_the_first_state_matters,
    check_gradients,
    check_gradients_reach_every_parameter,
    check_fused_gradients_are_those_of_step,
    check_a_seed_decides_the_parameters,
    check_the_step_is_the_papers,
    check_the_graph_answers_as_torch,
    check_the_graph_begins_as_torch_does,
    check_any_batch_and_any_chunks_give_the_same_bits,
    check_the_step_graph_gives_the_main_graphs_bits,
    check_the_graph_has_only_what_keeps_rows_apart,
    check_a_state_of_the_wrong_shape_is_refused,
]


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("name", CASES)
def test_every_cell_holds_what_cells_hold(name, check, seed):
    torch.manual_seed(seed)
    check(CASES[name])


@pytest.mark.parametrize("name", CASES)
def test_onnx_runtime_says_nothing_as_it_loads_and_runs_a_cell(name, capfd):
    graphs = exported(CASES[name])
    for lengths in ([4], [3, 9, 1], [1] * 5):
        trial = some_trial(graphs.model, lengths)
        graphs.runner.run({"x": trial.x}, trial.lengths, trial.states)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("name", [name for name in CASES if not name.startswith(IN_PROSE)])
def test_a_cell_learns_as_many_numbers_as_the_tables_formula_says(name):
    line, options = ARCHITECTURES[name.split()[0]], getattr(CASES[name], "keywords", {}).get("options", {})
    cell = build(CASES[name])
    sizes = {"m": INPUT, "n": HIDDEN, "p": cell.output_size, "len": len}
    count = sum(parameter.numel() for parameter in cell.parameters())
    assert count == eval(line.parameters, sizes, {**line.options, **options})


def test_a_stack_learns_what_its_layers_do_and_a_gain_and_a_bias_for_each_unit_of_a_norm():
    plain, normal = (build(case("stack", layers=("gru", "elman"), normalise=normalise)) for normalise in (False, True))
    count, more = (sum(parameter.numel() for parameter in cell.parameters()) for cell in (plain, normal))
    assert count == 3 * HIDDEN * (INPUT + HIDDEN + 1) + HIDDEN * (HIDDEN + HIDDEN + 1)
    assert more == count + 2 * 2 * HIDDEN


@settings(max_examples=5)
@given(lengths=st.lists(st.integers(1, 12), min_size=1, max_size=9), seed=st.integers(0, 2**32 - 1))
@pytest.mark.parametrize("name", CASES)
def test_any_ragged_batch_answers_each_row_as_alone(name, lengths, seed):
    torch.manual_seed(seed)
    cell = build(CASES[name])
    xs, state = some_inputs(len(lengths), max(lengths)), some_state(cell, len(lengths))
    ys, last = cell.scan(xs, state, torch.tensor(lengths))
    for row, length in enumerate(lengths):
        one = slice(row, row + 1)
        assert_same((ys[one, :length], rows_of(last, one)), repeat_step(cell, xs[one, :length], rows_of(state, one)))


def test_the_forget_bias_is_one_in_the_exported_graph(seed):
    torch.manual_seed(seed)
    graph = onnx.load_from_string(export(model_of(LSTM))).graph
    (node,) = [node for node in graph.node if node.op_type == "LSTM"]
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    bias = constants[node.input[3]][0]
    # ONNX adds a bias of the inputs and one of the recurrence, both in the order i, o, f, c.
    total = dict(zip("iofc", np.split(bias[: 4 * HIDDEN] + bias[4 * HIDDEN :], 4), strict=True))
    np.testing.assert_array_equal(total["f"], np.ones(HIDDEN, np.float32))
    assert not any(total[gate].any() for gate in "ioc")
