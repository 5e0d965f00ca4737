"""One suite over the table of architectures: what every cell must hold, and mutants that must not pass it."""

from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
import onnx
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from onnx import numpy_helper
from torch import Tensor

from models.manifest import Graphs, Manifest, StateSpec, TensorSpec
from models.runner import Runner
from training.architectures import ARCHITECTURES
from training.architectures.lstm import LSTM
from training.cell import Cell, State
from training.export import cells
from training.export.cells import CELLS
from training.export.graph import export
from training.model import SequenceModel
from training.publish import DTYPES
from training.verify import Trial, answers

INPUT, HIDDEN, SYMBOLS = 5, 6, 7
ROWS, TIME = 4, 9
EXACT = 1e-12
SINGLE = 1e-5

Check = Callable[[type[Cell]], None]


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """Let threads of tensors this small not wait for each other, which takes longer than the work."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def build(kind: type[Cell], *, double: bool = True) -> Cell:
    cell = kind(INPUT, HIDDEN)
    return cell.double() if double else cell


def some_state(cell: Cell, rows: int = ROWS) -> State:
    return {
        name: torch.randn_like(tensor) if tensor.is_floating_point() else torch.randint_like(tensor, 100)
        for name, tensor in cell.init_state(rows).items()
    }


def some_inputs(rows: int = ROWS, time: int = TIME) -> Tensor:
    return torch.randn(rows, time, INPUT, dtype=torch.float64)


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


def check_shapes_and_dtypes(kind: type[Cell]) -> None:
    for double in (False, True):
        cell = build(kind, double=double)
        dtype = torch.float64 if double else torch.float32
        state = cell.init_state(ROWS)
        assert (cell.input_size, cell.output_size) == (INPUT, HIDDEN)
        assert all(tensor.shape[0] == ROWS and tensor.dtype == dtype for tensor in state.values())
        y, next_state = cell.step(torch.randn(ROWS, INPUT, dtype=dtype), state)
        assert y.shape == (ROWS, HIDDEN)
        assert y.dtype == dtype
        ys, last_state = cell.scan(torch.randn(ROWS, TIME, INPUT, dtype=dtype), state)
        assert ys.shape == (ROWS, TIME, HIDDEN)
        assert ys.dtype == dtype
        for after in (next_state, last_state):
            assert {n: (t.shape, t.dtype) for n, t in after.items()} == {
                n: (t.shape, t.dtype) for n, t in state.items()
            }


def check_scan_is_step_repeated(kind: type[Cell]) -> None:
    cell = build(kind)
    xs, state = some_inputs(), some_state(cell)
    assert_same(cell.scan(xs, state), repeat_step(cell, xs, state))
    full = torch.full((ROWS,), TIME)
    assert_same(cell.scan(xs, state, full), repeat_step(cell, xs, state))


def check_ragged_rows_are_as_alone(kind: type[Cell]) -> None:
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


def check_chunks_are_as_whole(kind: type[Cell]) -> None:
    cell = build(kind)
    xs, state = some_inputs(), some_state(cell)
    outputs, carried = [], state
    for chunk in xs.split([2, 1, TIME - 3], dim=1):
        ys, carried = cell.scan(chunk, carried)
        outputs.append(ys)
    assert_same((torch.cat(outputs, 1), carried), cell.scan(xs, state))


def check_rows_do_not_mix(kind: type[Cell]) -> None:
    cell = build(kind)
    xs, state, order = some_inputs(), some_state(cell), torch.tensor([2, 0, 3, 1])
    ys, last_state = cell.scan(xs, state)
    assert_same(cell.scan(xs[order], rows_of(state, order)), (ys[order], rows_of(last_state, order)))
    for at in range(ROWS):
        changed = xs.clone()
        changed[at] += 1
        differs = (cell.scan(changed, state)[0] != ys).flatten(1).any(1)
        assert differs.tolist() == [row == at for row in range(ROWS)]


def check_the_future_does_not_reach_back(kind: type[Cell]) -> None:
    cell = build(kind)
    xs, state = some_inputs(), some_state(cell)
    changed = xs.clone()
    changed[:, 5:] += 1
    ys, other = cell.scan(xs, state)[0], cell.scan(changed, state)[0]
    torch.testing.assert_close(ys[:, :5], other[:, :5], rtol=0, atol=EXACT)
    assert not torch.allclose(ys[:, 5], other[:, 5])


def check_the_first_state_matters(kind: type[Cell]) -> None:
    cell = build(kind)
    xs, state = some_inputs(time=1), some_state(cell)
    y = cell.scan(xs, state)[0]
    for name in state:
        assert not torch.allclose(cell.scan(xs, state | {name: state[name] + 1})[0], y), name


def check_gradients(kind: type[Cell]) -> None:
    cell = build(kind)
    state = some_state(cell, 2)
    names = list(state)

    def scanned(xs: Tensor, *tensors: Tensor) -> tuple[Tensor, ...]:
        ys, last = cell.scan(xs, dict(zip(names, tensors, strict=True)), torch.tensor([2, 3]))
        return (ys, *last.values())

    given = [some_inputs(2, 3), *state.values()]
    assert torch.autograd.gradcheck(scanned, [tensor.requires_grad_() for tensor in given])
    ys, _ = cell.scan(some_inputs(time=200), some_state(cell))
    ys.square().mean().backward()
    for name, parameter in cell.named_parameters():
        assert parameter.grad is not None, name
        assert bool(parameter.grad.isfinite().all()), name
        assert bool(parameter.grad.any()), name


def check_fused_gradients_are_those_of_step(kind: type[Cell]) -> None:
    cell = build(kind)
    xs, state = some_inputs(), some_state(cell)
    gradients = [
        torch.autograd.grad(run(xs, state)[0].square().sum(), list(cell.parameters()))
        for run in (cell.scan, partial(repeat_step, cell))
    ]
    for fused, stepped in zip(*gradients, strict=True):
        torch.testing.assert_close(fused, stepped, rtol=1e-10, atol=1e-10)


def check_a_seed_decides_the_parameters(kind: type[Cell]) -> None:
    def parameters(seed: int) -> list[Tensor]:
        torch.manual_seed(seed)
        return [parameter.detach() for parameter in build(kind).parameters()]

    first, again, other = parameters(1), parameters(1), parameters(2)
    assert all(torch.equal(one, two) for one, two in zip(first, again, strict=True))
    assert not all(torch.equal(one, two) for one, two in zip(first, other, strict=True))


def model_of(kind: type[Cell]) -> SequenceModel:
    return SequenceModel(symbols=SYMBOLS, embedding_size=INPUT, cell=kind(INPUT, HIDDEN), dropout=0.5).eval()


def manifest_of(model: SequenceModel) -> Manifest:
    """What the runner reads of a manifest; no file of it is looked at."""
    return Manifest(
        name="cell",
        version=1,
        architecture="cell",
        kind="step",
        files=dict.fromkeys(("model.onnx", "golden.npz"), f"sha256:{'0' * 64}"),
        graphs=Graphs("model.onnx"),
        inputs=(TensorSpec("x", "INT64", ("time",)),),
        outputs=(TensorSpec("y", "FP32", ("time", SYMBOLS)),),
        lengths="lengths",
        states=tuple(
            StateSpec(f"state.{name}", f"next_state.{name}", DTYPES[tensor.dtype], tuple(tensor.shape[1:]))
            for name, tensor in model.cell.init_state(1).items()
        ),
        golden_source="torch",
        tolerance=SINGLE,
    )


def some_trial(model: SequenceModel, lengths: list[int]) -> Trial:
    rows, time = len(lengths), max(lengths)
    states = {f"state.{name}": tensor.numpy() for name, tensor in some_state(model.cell, rows).items()}
    return Trial(torch.randint(SYMBOLS, (rows, time)).numpy(), np.array(lengths, np.int64), states)


def check_the_graph_answers_as_torch(kind: type[Cell]) -> None:
    model = model_of(kind)
    runner = Runner(manifest_of(model), export(model))
    for lengths in ([1], [TIME], [3, TIME, 1, 5], [2] * 17):
        trial = some_trial(model, lengths)
        outputs, next_states = runner.run({"x": trial.x}, trial.lengths, trial.states)
        found = outputs | {f"next_{name}": array for name, array in next_states.items()}
        for name, expected in answers(model, trial).items():
            np.testing.assert_allclose(found[name], expected, rtol=0, atol=SINGLE)


CHECKS: list[Check] = [
    check_shapes_and_dtypes,
    check_scan_is_step_repeated,
    check_ragged_rows_are_as_alone,
    check_chunks_are_as_whole,
    check_rows_do_not_mix,
    check_the_future_does_not_reach_back,
    check_the_first_state_matters,
    check_gradients,
    check_fused_gradients_are_those_of_step,
    check_a_seed_decides_the_parameters,
    check_the_graph_answers_as_torch,
]


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("name", sorted(ARCHITECTURES))
def test_every_cell_holds_what_cells_hold(name, check, seed):
    torch.manual_seed(seed)
    check(ARCHITECTURES[name])


@pytest.mark.parametrize("name", sorted(ARCHITECTURES))
def test_every_cell_has_an_export(name):
    assert ARCHITECTURES[name] in CELLS


@given(lengths=st.lists(st.integers(1, 12), min_size=1, max_size=9), seed=st.integers(0, 2**32 - 1))
@pytest.mark.parametrize("name", sorted(ARCHITECTURES))
def test_any_ragged_batch_answers_each_row_as_alone(name, lengths, seed):
    torch.manual_seed(seed)
    cell = build(ARCHITECTURES[name])
    xs, state = some_inputs(len(lengths), max(lengths)), some_state(cell, len(lengths))
    ys, last = cell.scan(xs, state, torch.tensor(lengths))
    for row, length in enumerate(lengths):
        one = slice(row, row + 1)
        assert_same((ys[one, :length], rows_of(last, one)), repeat_step(cell, xs[one, :length], rows_of(state, one)))


# Mutants: each breaks one thing, and the check named beside it must see it.


def swapped_gates(self: LSTM, x: Tensor, state: State) -> tuple[Tensor, State]:
    f, i, g, o = (x @ self.U.T + state["h"] @ self.W.T + self.b).chunk(4, dim=-1)
    c = f.sigmoid() * state["c"] + i.sigmoid() * g.tanh()
    h = o.sigmoid() * c.tanh()
    return h, {"h": h, "c": c}


def without_lengths(self: LSTM, xs: Tensor, state: State, _: Tensor | None = None) -> tuple[Tensor, State]:
    return repeat_step(self, xs, state)


def forgetful(self: LSTM, xs: Tensor, state: State, lengths: Tensor | None = None) -> tuple[Tensor, State]:
    return Cell.scan(self, xs, self.init_state(len(xs)), lengths)


def mixed_rows(self: LSTM, xs: Tensor, state: State, lengths: Tensor | None = None) -> tuple[Tensor, State]:
    return Cell.scan(self, xs - xs.mean(0), state, lengths)


def backwards(self: LSTM, xs: Tensor, state: State, lengths: Tensor | None = None) -> tuple[Tensor, State]:
    return Cell.scan(self, xs.flip(1), state, lengths)


@pytest.mark.parametrize(
    ("method", "mutant", "check"),
    [
        ("step", swapped_gates, check_scan_is_step_repeated),
        ("step", swapped_gates, check_fused_gradients_are_those_of_step),
        ("scan", without_lengths, check_ragged_rows_are_as_alone),
        ("scan", forgetful, check_chunks_are_as_whole),
        ("scan", forgetful, check_the_first_state_matters),
        ("scan", mixed_rows, check_rows_do_not_mix),
        ("scan", backwards, check_the_future_does_not_reach_back),
    ],
)
def test_a_mutant_cell_turns_the_suite_red(method, mutant, check, seed, monkeypatch):
    torch.manual_seed(seed)
    monkeypatch.setattr(LSTM, method, mutant)
    with pytest.raises(AssertionError):
        check(LSTM)


def test_a_mutant_export_turns_the_suite_red(seed, monkeypatch):
    torch.manual_seed(seed)
    monkeypatch.setattr(cells, "_onnx_order", lambda gates: gates)
    with pytest.raises(AssertionError):
        check_the_graph_answers_as_torch(LSTM)


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
