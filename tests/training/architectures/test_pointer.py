import numpy as np
import pytest
import torch

from models.runner import Runner
from tests.conformance.cells import HIDDEN, manifest_of
from tests.conformance.equations import EQUATIONS
from training.architectures import build_cell
from training.architectures.pointer import NOWHERE, Pointer
from training.cell import Source, State
from training.export.graph import export, export_step
from training.export.lint import varying_operators
from training.export.start import export_start
from training.model import AsTheyAre, SequenceModel

LONGEST, KINDS, EXACT = 6, 9, 1e-12
END = LONGEST


def pointer(**options) -> Pointer:
    given = {"symbols": LONGEST + 1, "source_symbols": KINDS, "source_size": 5, "decoder": "gru"} | options
    cell = build_cell("pointer", 1, HIDDEN, given)
    assert isinstance(cell, Pointer)
    return cell.double().eval()


def begun(cell: Pointer, lengths: list[int]) -> State:
    counts = torch.tensor(lengths)
    source = torch.randint(KINDS, (len(lengths), max(lengths)))
    return cell.begin(cell.encode(*Source(source, counts)), counts)


def test_a_step_scores_every_place_of_the_source_and_the_end_by_the_papers_equations(seed):
    torch.manual_seed(seed)
    cell = pointer()
    state = begun(cell, [4])
    p = {name: tensor.detach().numpy() for name, tensor in cell.named_parameters()}
    rows = {name: tensor[0].detach().numpy() for name, tensor in state.items()}
    inner = {name.removeprefix("decoder."): row for name, row in rows.items() if name.startswith("decoder.")}
    within = {name.removeprefix("decoder."): weights for name, weights in p.items() if name.startswith("decoder.")}
    for x in (2, END):
        y, _ = cell.step(torch.tensor([[x]]), state)
        read = p["E"][0] if x == END else rows["annotations"][x]
        s, _ = EQUATIONS[type(cell.decoder)](within, cell.decoder, read, inner)
        keys = [*rows["annotations"], p["E"][0]]
        scores = [p["score.v"][:, 0] @ np.tanh(p["score.W"] @ s + p["score.U"] @ a) for a in keys]
        wanted = [*scores[:4], NOWHERE, NOWHERE, scores[4]]
        np.testing.assert_allclose(y[0].detach().numpy(), wanted, rtol=0, atol=EXACT)


def test_a_step_looks_where_it_points_and_what_is_missing_to_one_is_the_end(seed):
    torch.manual_seed(seed)
    cell = pointer()
    state = begun(cell, [2, 4])
    x = torch.tensor([[END], [3]])
    y, _ = cell.step(x, state)
    shares = cell.looks(x, state)
    assert shares.shape == (2, 4)
    assert (shares[0, 2:] == 0).all()
    for row, length in enumerate((2, 4)):
        weighed = y[row, [*range(length), END]].exp()
        torch.testing.assert_close(shares[row, :length], (weighed / weighed.sum())[:-1])
        torch.testing.assert_close(1 - shares[row].sum(), (weighed / weighed.sum())[-1])


def test_what_pads_a_source_changes_nothing_and_is_never_pointed_to(seed):
    torch.manual_seed(seed)
    cell, counts = pointer(), torch.tensor([2, 5])
    source = torch.randint(KINDS, (2, 5))
    other = source.clone()
    other[0, 2:] = KINDS - 1 - other[0, 2:]
    xs = torch.tensor([[END, 1, 0], [END, 4, 3]])[..., None]
    one, two = (cell.scan(xs, cell.begin(cell.encode(given, counts), counts))[0] for given in (source, other))
    assert torch.equal(one, two)
    assert (one[0, :, 2:END] == NOWHERE).all()
    alone = cell.scan(xs[:1], cell.begin(cell.encode(source[:1, :2], counts[:1]), counts[:1]))[0]
    torch.testing.assert_close(alone[0], one[0], rtol=0, atol=EXACT)


@pytest.mark.parametrize(("x", "length"), [(4, 4), (-1, 4), (END + 1, 4), (0, LONGEST + 1)])
def test_a_place_that_the_source_has_not_and_a_source_that_is_too_long_are_answered_by_no_number(seed, x, length):
    torch.manual_seed(seed)
    cell = pointer()
    y, _ = cell.step(torch.tensor([[x], [0]]), begun(cell, [length, 3]))
    assert y[0].isnan().all()
    assert y[1].isfinite().all()


@pytest.mark.parametrize("decoder", ["gru", "lstm"])
def test_the_graphs_answer_as_torch_and_any_batch_gives_the_same_bits(seed, decoder):
    torch.manual_seed(seed)
    cell = pointer(decoder=decoder).float()
    embedding = AsTheyAre(LONGEST + 1, 0)
    outputs = LONGEST + 1
    model = SequenceModel(embedding=embedding, cell=cell, outputs=outputs, dropout=0.0, readout=False).eval()
    graph = export(model)
    assert varying_operators(graph) == []
    assert export_start(model) is not None
    runner = Runner(manifest_of(model), graph, step=export_step(model))
    state = begun(cell, [3, 6, 1, 4])
    x, lengths = cell.draw_inputs(4, 7, state, np.random.default_rng(0))
    states = {f"state.{name}": tensor.detach().numpy() for name, tensor in state.items()}
    found, _ = runner.run({"x": x}, lengths, states)
    ys, _ = model(torch.from_numpy(x), state, torch.from_numpy(lengths))
    np.testing.assert_allclose(found["y"], ys.detach().numpy(), rtol=1e-5, atol=1e-5)
    for rows in ([2], [3, 0]):
        part, _ = runner.run({"x": x[rows]}, lengths[rows], {name: array[rows] for name, array in states.items()})
        assert part["y"].tobytes() == found["y"][rows].tobytes()


def test_steps_of_several_symbols_are_refused():
    with pytest.raises(ValueError, match="one place or the end"):
        build_cell("pointer", 3, HIDDEN, {"symbols": 4})
