import numpy as np
import pytest
import torch
from torch import Tensor

from models.manifest import TensorSpec
from models.runner import Runner
from tests.conformance.cells import HIDDEN, INPUT, ROWS, SYMBOLS, TIME, manifest_of, some_sentences
from training.architectures import ARCHITECTURES, build_cell
from training.architectures.memory_network import MemoryNetwork
from training.cell import State
from training.export.graph import export, export_step
from training.export.lint import varying_operators
from training.model import AsTheyAre, SequenceModel

OPTIONS = [
    {},
    {"hops": 1},
    {"tying": "layer", "hops": 2},
    {"positions": False},
    {"slots": 3},
]
KEPT = 6


@pytest.fixture(params=OPTIONS, ids=str)
def cell(request, seed) -> MemoryNetwork:
    torch.manual_seed(seed)
    built = build_cell("memory_network", INPUT, HIDDEN, {"symbols": SYMBOLS, "slots": KEPT, **request.param})
    assert isinstance(built, MemoryNetwork)
    return built.double().eval()


def some_state(cell: MemoryNetwork, rows: int = ROWS) -> State:
    counts = torch.randint(0, cell.slots + 1, (rows, 1))
    there = torch.arange(cell.slots) >= cell.slots - counts
    return {"sentences": some_sentences(rows, cell.slots) * there[..., None], "count": counts}


def stepped(cell: MemoryNetwork, xs: Tensor, state: State) -> tuple[Tensor, State]:
    ys = []
    for x in xs.unbind(1):
        y, state = cell.step(x, state)
        ys.append(y)
    return torch.stack(ys, 1), state


def assert_same(found: tuple[Tensor, State], wanted: tuple[Tensor, State]) -> None:
    torch.testing.assert_close(found[0], wanted[0], rtol=0, atol=1e-12)
    assert all(torch.equal(tensor, wanted[1][name]) for name, tensor in found[1].items())


def test_a_scan_is_step_repeated(cell):
    xs, state = some_sentences(), some_state(cell)
    assert_same(cell.scan(xs, state), stepped(cell, xs, state))


def test_ragged_rows_are_as_alone(cell):
    xs, state, lengths = some_sentences(), some_state(cell), torch.tensor([3, TIME, 1, 5])
    ys, after = cell.scan(xs, state, lengths)
    for row, length in enumerate(lengths.tolist()):
        one = slice(row, row + 1)
        of_row = {name: tensor[one] for name, tensor in state.items()}
        found = ys[one, :length], {name: tensor[one] for name, tensor in after.items()}
        assert_same(found, stepped(cell, xs[one, :length], of_row))
        assert not ys[row, length:].any()


def test_gradients_of_a_scan_are_those_of_its_steps(cell):
    xs, state = some_sentences(), some_state(cell)
    both = [
        torch.autograd.grad(run(xs, state)[0].square().sum(), list(cell.parameters()))
        for run in (cell.scan, lambda xs, state: stepped(cell, xs, state))
    ]
    for fast, slow in zip(*both, strict=True):
        torch.testing.assert_close(fast, slow, rtol=1e-9, atol=1e-12)


def encoded(cell: MemoryNetwork, words: np.ndarray, table: int) -> np.ndarray:
    """A sentence's vector as the paper has it, word by word."""
    D, J = cell.size, len(words)
    found, d = np.zeros(D), np.arange(1, D + 1)
    for j, word in enumerate(words.tolist(), 1):
        weight = 1 + 4 * (d - (D + 1) / 2) * (j - (J + 1) / 2) / (D * J) if cell.positions else np.ones(D)
        found += weight * cell.E[table, word].detach().numpy() * (word != 0)
    return found


def test_a_step_is_the_papers(cell):
    x, state = some_sentences(time=1)[:, 0], some_state(cell)
    ys, _ = cell.step(x, state)
    T = cell.T.detach().numpy()
    for row in range(ROWS):
        count = int(state["count"][row])
        memory = state["sentences"][row, cell.slots - count :].numpy()
        u = encoded(cell, x[row].numpy(), 0)
        for hop in range(cell.hops):
            key, value = (hop, hop + 1) if cell.H is None else (0, 1)
            m = np.array([encoded(cell, one, key) + T[key, count - 1 - i] for i, one in enumerate(memory)])
            c = np.array([encoded(cell, one, value) + T[value, count - 1 - i] for i, one in enumerate(memory)])
            o = np.zeros(cell.size)
            if count:
                p = np.exp(m @ u) / np.exp(m @ u).sum()
                o = p @ c
            u = u + o if cell.H is None else cell.H.detach().numpy() @ u + o
        words = cell.E[-1] if cell.W is None else cell.W
        np.testing.assert_allclose(ys[row].detach().numpy(), words.detach().numpy() @ u, rtol=0, atol=1e-12)


def test_the_oldest_sentence_makes_room_for_the_newest(seed):
    torch.manual_seed(seed)
    cell, xs = build_cell("memory_network", INPUT, HIDDEN, {"symbols": SYMBOLS, "slots": 2}), some_sentences(1, 5)
    _, state = cell.scan(xs, cell.init_state(1))
    assert torch.equal(state["sentences"], xs[:, -2:])
    assert state["count"].tolist() == [[2]]


def test_the_order_of_words_counts_where_positions_do(seed):
    torch.manual_seed(seed)
    for positions in (True, False):
        cell = build_cell("memory_network", INPUT, HIDDEN, {"symbols": SYMBOLS, "positions": positions})
        one, turned = torch.tensor([[1, 2, 3, 0, 0]]), torch.tensor([[3, 2, 1, 0, 0]])
        same = torch.allclose(cell.step(one, cell.init_state(1))[0], cell.step(turned, cell.init_state(1))[0])
        assert same != positions


def test_attention_is_no_softmax_at_first_in_training_alone(seed):
    torch.manual_seed(seed)
    cell = build_cell("memory_network", INPUT, HIDDEN, {"symbols": SYMBOLS, "linear_start": 3})
    xs, answers = some_sentences(), []
    for update, training in ((0, True), (2, True), (3, True), (0, False)):
        cell.at(update, stalled=False)
        answers.append(cell.train(training).scan(xs, cell.init_state(ROWS))[0])
    assert torch.equal(answers[0], answers[1])
    assert not torch.allclose(answers[0], answers[2])
    assert torch.equal(answers[2], answers[3])


@pytest.mark.parametrize(("until", "linear"), [("count", [True, True, False]), ("stalled", [True, False, False])])
def test_a_linear_start_may_end_as_soon_as_a_validation_gains_nothing(until, linear):
    cell = build_cell("memory_network", INPUT, HIDDEN, {"symbols": SYMBOLS, "linear_start": 3, "linear_until": until})
    found = []
    for update, stalled in ((0, False), (2, True), (3, True)):
        cell.at(update, stalled=stalled)
        found.append(cell.linear)
    assert found == linear


def test_noise_in_time_is_there_in_training_alone(seed):
    torch.manual_seed(seed)
    cell = build_cell("memory_network", INPUT, HIDDEN, {"symbols": SYMBOLS, "noise": 0.5})
    xs, state = some_sentences(), cell.init_state(ROWS)
    assert not torch.allclose(cell.train().scan(xs, state)[0], cell.scan(xs, state)[0])
    assert torch.equal(cell.eval().scan(xs, state)[0], cell.scan(xs, state)[0])


def test_what_is_looked_at_is_a_share_of_each_sentence(cell):
    x, state = some_sentences(time=1)[:, 0], some_state(cell)
    for shares in cell.looks(x, state):
        there = torch.arange(cell.slots) >= cell.slots - state["count"]
        torch.testing.assert_close(shares.sum(1), (state["count"][:, 0] > 0).double())
        assert not shares[~there].any()


def test_it_learns_as_many_numbers_as_the_tables_formula_says(cell):
    options = {"hops": cell.hops, "symbols": SYMBOLS, "slots": cell.slots}
    options["tying"] = "adjacent" if cell.H is None else "layer"
    formula = ARCHITECTURES["memory_network"].parameters
    assert sum(one.numel() for one in cell.parameters()) == eval(formula, {"n": HIDDEN}, options)


def test_the_graphs_answer_as_torch_and_any_batch_and_chunks_give_the_same_bits(cell, seed):
    model = SequenceModel(
        embedding=AsTheyAre(SYMBOLS, INPUT), cell=cell.float(), outputs=SYMBOLS, dropout=0, readout=False
    )
    graph, step = export(model), export_step(model)
    assert step is not None
    assert varying_operators(graph) == []
    manifest = manifest_of(model)
    assert manifest.inputs == (TensorSpec("x", "INT64", ("time", INPUT)),)
    runner = Runner(manifest, graph, step=step)
    xs, state = some_sentences(), some_state(cell)
    states = {f"state.{name}": tensor.numpy() for name, tensor in state.items()}
    found, after = runner.run({"x": xs.numpy()}, np.full(ROWS, TIME), states)
    ys, wanted = model(xs, state)
    np.testing.assert_allclose(found["y"], ys.detach().numpy(), atol=1e-5)
    assert all(np.array_equal(after[f"state.{name}"], tensor.numpy()) for name, tensor in wanted.items())
    alone = {name: array[1:2] for name, array in states.items()}
    pieces = []
    for first, stop in ((0, 1), (1, 2), (2, 6), (6, TIME)):
        one, alone = runner.run({"x": xs[1:2, first:stop].numpy()}, np.array([stop - first]), alone)
        pieces.append(one["y"])
    assert np.concatenate(pieces, 1).tobytes() == found["y"][1:2].tobytes()
