import numpy as np
import pytest
import torch
from torch import Tensor

from models.runner import Runner
from tests.conformance.cells import HIDDEN, SYMBOLS, manifest_of
from training.architectures import build_cell
from training.architectures.recursive import Recursive
from training.architectures.tree import Tree
from training.architectures.trees import read_nodes
from training.export.graph import export, export_step
from training.export.lint import varying_operators
from training.model import AsTheyAre, SequenceModel

EXACT, NONE, REDUCE, DEPTH = 1e-12, -1, SYMBOLS - 1, 4
KINDS = ["plain", "tensor", "lstm", "matrix_vector", "child_sum"]


def tree(composition: str, most: int = 2, **options) -> Tree:
    cell = build_cell("tree", 1 + most, HIDDEN, {"symbols": SYMBOLS, "composition": composition} | options)
    assert isinstance(cell, Tree)
    return cell.double().eval()


def model_of(cell: Tree) -> SequenceModel:
    embedding = AsTheyAre(SYMBOLS, cell.input_size)
    return SequenceModel(embedding=embedding, cell=cell.float(), outputs=SYMBOLS, dropout=0.0).eval()


def nodes(*given: tuple[int, ...]) -> Tensor:
    return torch.tensor([given])


def read(cell: Tree, xs: Tensor, lengths: Tensor | None = None) -> Tensor:
    return cell.scan(xs, {}, lengths)[0]


def one_by_one(cell: Tree, xs: Tensor) -> Tensor:
    """Make the nodes of rows that are trees a step each, as the graph does."""
    state = cell.node.init_state(len(xs))
    state |= {name: state[name].repeat(1, xs.shape[1], *[1] * (state[name].dim() - 2)) for name in cell.node.free}
    ys = []
    for x in xs.unbind(1):
        y, state = cell.node.step(x, state)
        ys.append(y)
    assert not state["broken"].any()
    return torch.stack(ys, 1)


def drawn(cell: Tree, rows: int = 5, time: int = 13) -> tuple[Tensor, Tensor]:
    random = np.random.default_rng(int(torch.randint(1000, ())))
    x, lengths = cell.draw_inputs(rows, time, {}, random)
    return torch.from_numpy(x), torch.from_numpy(lengths)


@pytest.mark.parametrize(("composition", "most"), [*((kind, 2) for kind in KINDS), ("child_sum", 1), ("child_sum", 4)])
def test_what_is_drawn_is_trees_and_all_nodes_of_a_level_together_are_each_alone(seed, composition, most):
    torch.manual_seed(seed)
    cell = tree(composition, most)
    xs, lengths = drawn(cell)
    ys = read(cell, xs, lengths)
    for row, length in enumerate(lengths.tolist()):
        torch.testing.assert_close(ys[row : row + 1, :length], one_by_one(cell, xs[row : row + 1, :length]))
        assert not ys[row, length:].any()


@pytest.mark.parametrize("composition", ["plain", "tensor", "lstm", "matrix_vector"])
def test_a_tree_given_whole_is_answered_as_one_that_is_shifted_and_reduced(seed, composition):
    torch.manual_seed(seed)
    whole = tree(composition)
    stream = build_cell("recursive", 1, HIDDEN, {"symbols": SYMBOLS, "composition": composition}).double()
    assert isinstance(stream, Recursive)
    stream.load_state_dict({name.removeprefix("node."): value for name, value in whole.state_dict().items()})
    actions = torch.tensor([[1, 2, 3, REDUCE, REDUCE, 4, REDUCE]])[..., None]
    given = nodes((1, -1, -1), (2, -1, -1), (3, -1, -1), (0, 1, 2), (0, 0, 3), (4, -1, -1), (0, 4, 5))
    ys, _ = stream.scan(actions, stream.init_state(1))
    torch.testing.assert_close(read(whole, given), ys, rtol=0, atol=EXACT)


def test_a_sum_of_children_is_made_by_the_papers_equations_whatever_their_order(seed):
    torch.manual_seed(seed)
    cell = tree("child_sum", 3)
    W, b, U, F = (getattr(cell.node.composition, name).detach().numpy() for name in "WbUF")

    def sigmoid(a: np.ndarray) -> np.ndarray:
        return 1 / (1 + np.exp(-a))

    def made(symbol: int, *children: tuple[np.ndarray, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        own = W @ cell.node.E[symbol].detach().numpy() + b
        total = sum((h for h, _ in children), np.zeros(HIDDEN))
        i, o, u = np.split(own[: 3 * HIDDEN] + U @ total, 3)
        c = sigmoid(i) * np.tanh(u) + sum(sigmoid(own[3 * HIDDEN :] + F @ h) * c for h, c in children)
        return sigmoid(o) * np.tanh(c), c

    first, second, third = made(1), made(2), made(3, made(4))
    wanted, _ = made(5, first, second, third)
    leaves = [(1, -1, -1, -1), (2, -1, -1, -1), (4, -1, -1, -1), (3, 2, -1, -1)]
    for root in ((5, 0, 1, 3), (5, 3, 0, 1)):
        ys = read(cell, nodes(*leaves, root))
        np.testing.assert_allclose(ys[0, -1].detach().numpy(), wanted, rtol=0, atol=EXACT)


LEAF = (1, NONE, NONE)
NO_TREES = {
    "its own child": [LEAF, LEAF, (1, 0, 2)],
    "a cycle": [(1, 1, NONE), (1, 0, NONE), (1, 0, 1)],
    "a child after its parent": [LEAF, (1, 0, 2), LEAF],
    "no such child": [LEAF, LEAF, (1, 0, 9)],
    "a child below none": [LEAF, LEAF, (1, 0, -2)],
    "two parents": [LEAF, LEAF, (1, 0, 1), (1, 0, 2)],
    "the same child twice": [LEAF, (1, 0, 0)],
    "two trees": [LEAF, LEAF, (1, 0, 1), LEAF],
    "an unknown symbol": [(SYMBOLS, NONE, NONE)],
    "a symbol below zero": [(-1, NONE, NONE)],
    "too many levels": [LEAF, *((1, place, NONE) for place in range(DEPTH + 1))],
}


@pytest.mark.parametrize("given", NO_TREES.values(), ids=NO_TREES)
def test_what_is_no_tree_is_answered_by_no_number_and_disturbs_no_other_row(seed, given):
    torch.manual_seed(seed)
    cell = tree("child_sum", depth=DEPTH)
    good = [LEAF, (2, NONE, NONE), (3, 0, 1)]
    time = max(len(good), len(given))
    xs = torch.tensor([[*rows, *[LEAF] * (time - len(rows))] for rows in (given, good)])
    lengths = torch.tensor([len(given), len(good)])
    model = model_of(cell)
    ys, _ = model(xs, {}, lengths)
    found = Runner(manifest_of(model), export(model)).run({"x": xs.numpy()}, lengths.numpy(), {})[0]["y"]
    for answers in (ys.detach().numpy(), found):
        assert np.isnan(answers[0, : len(given)]).all()
        assert np.isfinite(answers[1]).all()


def test_a_node_of_a_composition_of_two_has_two_children_or_none(seed):
    torch.manual_seed(seed)
    assert read(tree("lstm"), nodes(LEAF, (1, 0, NONE))).isnan().all()
    assert read(tree("child_sum"), nodes(LEAF, (1, 0, NONE))).isfinite().all()


@pytest.mark.parametrize("composition", KINDS)
def test_the_graph_answers_as_torch_and_any_batch_gives_the_same_bits(seed, composition):
    torch.manual_seed(seed)
    model = model_of(tree(composition))
    graph = export(model)
    assert export_step(model) is None
    assert varying_operators(graph) == []
    runner = Runner(manifest_of(model), graph)
    xs, lengths = drawn(model.cell, 9)
    found = runner.run({"x": xs.numpy()}, lengths.numpy(), {})[0]["y"]
    ys, _ = model(xs, {}, lengths)
    np.testing.assert_allclose(found, ys.detach().numpy(), rtol=1e-5, atol=1e-5)
    for rows in ([3], [1, 5], [8, 0, 2, 7]):
        most = int(lengths[rows].max())
        part = runner.run({"x": xs[rows, :most].numpy()}, lengths[rows].numpy(), {})[0]["y"]
        assert part.tobytes() == found[rows, :most].tobytes()


def test_gradients_reach_every_parameter(seed):
    torch.manual_seed(seed)
    for composition in KINDS:
        cell = tree(composition)
        xs, lengths = drawn(cell, 20, 21)
        read(cell, xs, lengths).square().mean().backward()
        for name, parameter in cell.named_parameters():
            assert parameter.grad is not None, (composition, name)
            assert bool(parameter.grad.any()), (composition, name)


def test_levels_of_a_balanced_tree_are_read_together():
    given = nodes(LEAF, LEAF, LEAF, LEAF, (1, 0, 1), (1, 2, 3), (1, 4, 5))
    found = read_nodes(given, torch.tensor([7]), SYMBOLS, 2, 9)
    assert [level.tolist() for level in found.levels] == [[0, 1, 2, 3], [4, 5], [6]]


def test_data_without_children_is_refused():
    with pytest.raises(ValueError, match=r"data\.options\.children"):
        build_cell("tree", 1, HIDDEN, {"symbols": SYMBOLS})
    with pytest.raises(ValueError, match="nodes of 2 children"):
        tree("lstm", 3)
