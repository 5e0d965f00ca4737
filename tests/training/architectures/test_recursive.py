import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from models.runner import Runner
from tests.conformance.cells import HIDDEN, SYMBOLS, manifest_of
from training.architectures import ARCHITECTURES, build_cell
from training.architectures.recursive import Recursive
from training.architectures.trees import balanced, read_trees
from training.cell import State
from training.export.graph import export, export_step
from training.export.lint import varying_operators
from training.model import AsTheyAre, SequenceModel

REDUCE, DEPTH, ROWS, TIME = SYMBOLS - 1, 5, 4, 11


@pytest.fixture(params=["plain", "tensor", "lstm", "matrix_vector"])
def cell(request, seed) -> Recursive:
    torch.manual_seed(seed)
    options = {"symbols": SYMBOLS, "composition": request.param, "depth": DEPTH}
    built = build_cell("recursive", 1, HIDDEN, options)
    assert isinstance(built, Recursive)
    return built.double().eval()


def some_actions(cell: Recursive, state: State, rows: int = ROWS, time: int = TIME) -> Tensor:
    random = np.random.default_rng(int(torch.randint(1000, ())))
    return torch.from_numpy(cell.draw_inputs(rows, time, state, random)[0])[..., None]


def some_state(cell: Recursive, rows: int = ROWS) -> State:
    state = cell.init_state(rows)
    return {"nodes": torch.randn_like(state["nodes"]), "height": torch.randint(0, DEPTH + 1, (rows, 1))}


def stepped(cell: Recursive, xs: Tensor, state: State) -> tuple[Tensor, State]:
    ys = []
    for x in xs.unbind(1):
        y, state = cell.step(x, state)
        ys.append(y)
    return torch.stack(ys, 1), state


def on_stack(state: State) -> list[Tensor]:
    """What lies on each stack; what lies above it has no meaning."""
    return [stack[: int(height)] for stack, height in zip(state["nodes"], state["height"], strict=True)]


def assert_same(found: tuple[Tensor, State], wanted: tuple[Tensor, State]) -> None:
    torch.testing.assert_close(found[0], wanted[0], rtol=0, atol=1e-12)
    assert torch.equal(found[1]["height"], wanted[1]["height"])
    for one, other in zip(on_stack(found[1]), on_stack(wanted[1]), strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-12)


def test_levels_give_what_steps_do_and_their_gradients(cell):
    state = cell.init_state(ROWS)
    xs = some_actions(cell, state)
    assert read_trees(xs[..., 0], REDUCE, DEPTH, None) is not None
    assert_same(cell.scan(xs, state), stepped(cell, xs, state))
    both = [
        torch.autograd.grad(run(xs, state)[0].square().sum(), list(cell.parameters()))
        for run in (cell.scan, lambda xs, state: stepped(cell, xs, state))
    ]
    for fast, slow in zip(*both, strict=True):
        torch.testing.assert_close(fast, slow, rtol=1e-9, atol=1e-12)


def test_chunks_go_on_from_any_stack(cell):
    state = some_state(cell)
    xs = some_actions(cell, state)
    first, carried = cell.scan(xs[:, :4], state)
    last, after = cell.scan(xs[:, 4:], carried)
    assert_same((torch.cat([first, last], 1), after), stepped(cell, xs, state))


def test_trees_of_different_shapes_are_read_each_to_its_own_end(cell):
    state, lengths = cell.init_state(3), [5, 1, 3]
    trees = [[1, 2, 3, REDUCE, REDUCE], [4], [5, 0, REDUCE]]
    xs = torch.tensor([[*tree, *[REDUCE] * (5 - len(tree))] for tree in trees])[..., None]
    ys, after = cell.scan(xs, state, torch.tensor(lengths))
    for row, length in enumerate(lengths):
        one = {name: tensor[row : row + 1] for name, tensor in state.items()}
        y, alone = stepped(cell, xs[row : row + 1, :length], one)
        torch.testing.assert_close(ys[row : row + 1, :length], y, rtol=0, atol=1e-12)
        assert not ys[row, length:].any()
        torch.testing.assert_close(on_stack(after)[row], on_stack(alone)[0], rtol=0, atol=1e-12)


def compose(cell: Recursive, tree: int | tuple) -> np.ndarray:
    """A node's numbers by the papers' equations, from the words up."""
    numbers = {name: tensor.detach().numpy() for name, tensor in cell.composition.named_parameters()}

    def sigmoid(a: np.ndarray) -> np.ndarray:
        return 1 / (1 + np.exp(-a))

    if isinstance(tree, int):
        x = cell.E[tree].detach().numpy()
        if "W_M" in numbers:
            vector, diagonal, tall, wide = np.split(x, np.cumsum([HIDDEN, HIDDEN, 3 * HIDDEN]))
            matrix = tall.reshape(HIDDEN, 3) @ wide.reshape(3, HIDDEN) + np.diag(1 + diagonal)
            return np.concatenate([np.tanh(vector), matrix.ravel()])
        if "U" not in numbers:
            return np.tanh(x)
        i, o, u = np.split(numbers["W"] @ x + numbers["a"], 3)
        c = sigmoid(i) * np.tanh(u)
        return np.concatenate([sigmoid(o) * np.tanh(c), c])
    left, right = (compose(cell, child) for child in tree)
    if "U" in numbers:
        (h_l, c_l), (h_r, c_r) = np.split(left, 2), np.split(right, 2)
        i, o, u, f_l, f_r = np.split(numbers["U"] @ np.concatenate([h_l, h_r]) + numbers["b"], 5)
        c = sigmoid(i) * np.tanh(u) + sigmoid(f_l) * c_l + sigmoid(f_r) * c_r
        return np.concatenate([sigmoid(o) * np.tanh(c), c])
    if "W_M" in numbers:
        (a, A), (b, B) = ((node[:HIDDEN], node[HIDDEN:].reshape(HIDDEN, HIDDEN)) for node in (left, right))
        p = np.tanh(numbers["W"] @ np.concatenate([B @ a, A @ b]) + numbers["b"])
        return np.concatenate([p, (numbers["W_M"] @ np.concatenate([A, B])).ravel()])
    both = np.concatenate([left, right])
    a = numbers["W"] @ both + numbers["b"]
    if "V" in numbers:
        V = numbers["V"].reshape(2 * cell.output_size, 2 * cell.output_size, cell.output_size)
        a = a + np.einsum("i,ijk,j->k", both, V, both)
    return np.tanh(a)


def test_a_node_is_made_by_the_papers_equations(cell):
    xs = torch.tensor([[1, 2, 3, REDUCE, REDUCE, 4, REDUCE]])[..., None]
    ys, _ = cell.scan(xs, cell.init_state(1))
    wanted = compose(cell, ((1, (2, 3)), 4))[: cell.output_size]
    np.testing.assert_allclose(ys[0, -1].detach().numpy(), wanted, rtol=0, atol=1e-12)


def test_the_same_words_in_another_tree_give_another_answer(cell):
    one, other = ([1, 2, 3, REDUCE, REDUCE], [1, 2, REDUCE, 3, REDUCE])
    ys, _ = cell.scan(torch.tensor([one, other])[..., None], cell.init_state(2))
    assert not torch.allclose(ys[0, -1], ys[1, -1])


def test_what_cannot_be_done_is_no_number_and_leaves_the_stack_as_it_is(cell):
    full = {"nodes": torch.randn(1, DEPTH, cell.composition.width).double(), "height": torch.tensor([[DEPTH]])}
    poor = {"nodes": full["nodes"], "height": torch.tensor([[1]])}
    for state, action in ((full, 3), (poor, REDUCE)):
        for run in (cell.step(torch.tensor([[action]]), state), cell.scan(torch.tensor([[[action]]]), state)):
            assert run[0].isnan().all()
            assert all(torch.equal(run[1][name], tensor) for name, tensor in state.items())


@given(count=st.integers(1, 200))
def test_a_balanced_tree_has_as_many_levels_as_the_logarithm_of_its_words(count):
    actions = balanced([0] * count, REDUCE)
    assert len(actions) == 2 * count - 1
    trees = read_trees(torch.tensor([actions]), REDUCE, 60, None)
    assert trees is not None
    assert len(trees.levels) - 1 == math.ceil(math.log2(count))
    assert trees.heights.tolist() == [[1]]


def test_it_learns_as_many_numbers_as_the_tables_formula_says(cell):
    composition = {"MatrixVector": "matrix_vector", "Plain": "plain", "TreeLSTM": "lstm"}[
        type(cell.composition).__name__
    ]
    composition = "tensor" if getattr(cell.composition, "V", None) is not None else composition
    formula = ARCHITECTURES["recursive"].parameters
    found = sum(one.numel() for one in cell.parameters())
    assert found == eval(formula, {"n": HIDDEN, "symbols": SYMBOLS, "composition": composition})


def test_the_graphs_answer_as_torch_and_any_batch_and_chunks_give_the_same_bits(cell):
    model = SequenceModel(embedding=AsTheyAre(SYMBOLS, 0), cell=cell.float(), outputs=SYMBOLS, dropout=0.0).eval()
    graph, step = export(model), export_step(model)
    assert step is not None
    assert varying_operators(graph) == []
    runner, state = Runner(manifest_of(model), graph, step=step), some_state(cell)
    xs = some_actions(cell, state)[..., 0]
    states = {
        f"state.{name}": tensor.float().numpy() if name == "nodes" else tensor.numpy() for name, tensor in state.items()
    }
    found, _ = runner.run({"x": xs.numpy()}, np.full(ROWS, TIME), states)
    ys, _ = model(xs, state)
    np.testing.assert_allclose(found["y"], ys.detach().numpy(), atol=1e-5)
    alone, pieces = {name: array[1:2] for name, array in states.items()}, []
    for first, stop in ((0, 1), (1, 2), (2, 6), (6, TIME)):
        one, alone = runner.run({"x": xs[1:2, first:stop].numpy()}, np.array([stop - first]), alone)
        pieces.append(one["y"])
    assert np.concatenate(pieces, 1).tobytes() == found["y"][1:2].tobytes()
