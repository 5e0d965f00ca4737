import numpy as np
import pytest
import torch
from torch import Tensor

from tests.conformance.cells import HIDDEN, INPUT, disturb
from tests.conformance.equations import EQUATIONS
from training.architectures import build_cell
from training.architectures.stack import Stack
from training.architectures.transducer import Transducer, labels_of

CLASSES, EXACT = 4, 1e-12


def built(**options) -> tuple[Stack, Transducer]:
    cell = build_cell("transducer", INPUT, HIDDEN, {"classes": CLASSES, "encoder": "gru"} | options).double()
    assert isinstance(cell, Stack)
    disturb(cell)
    top = cell.layers[-1]
    assert isinstance(top, Transducer)
    return cell, top


def test_a_step_is_the_papers_and_the_blank_leaves_the_prediction_as_it_is(seed):
    torch.manual_seed(seed)
    _, top = built()
    p = {name: tensor.numpy() for name, tensor in top.state_dict().items()}
    within = {name.removeprefix("prediction."): row for name, row in p.items() if name.startswith("prediction.")}
    g, own = EQUATIONS[type(top.prediction)](within, top.prediction, np.zeros(HIDDEN), {"h": np.zeros(HIDDEN)})
    state, seen = top.init_state(1), set()
    for x in torch.randn(40, 1, HIDDEN, dtype=torch.float64):
        z, state = top.step(x, state)
        wanted = p["O.weight"] @ np.tanh(p["A.weight"] @ x[0].numpy() + p["A.bias"] + p["B.weight"] @ g) + p["O.bias"]
        np.testing.assert_allclose(z[0].detach().numpy(), wanted, rtol=0, atol=EXACT)
        label = int(wanted.argmax())
        seen.add(label == CLASSES - 1)
        if label != CLASSES - 1:
            g, own = EQUATIONS[type(top.prediction)](within, top.prediction, p["E.weight"][label], own)
        np.testing.assert_allclose(state["g"][0].detach().numpy(), g, rtol=0, atol=EXACT)
        np.testing.assert_allclose(state["prediction.h"][0].detach().numpy(), own["h"], rtol=0, atol=EXACT)
    assert seen == {True, False}, "labels and blanks came"


@pytest.mark.parametrize("most", [1, 3])
def test_what_a_step_answers_stands_in_the_lattice_of_the_labels_that_it_put_out(most, seed):
    torch.manual_seed(seed)
    cell, top = built(most=most, prediction="lstm")
    xs = torch.randn(2, 12, INPUT, dtype=torch.float64)
    answers, _ = cell.scan(xs, cell.init_state(2))
    es, _ = cell.layers[0].scan(xs, cell.layers[0].init_state(2))
    for row, found in enumerate(labels_of(answers, torch.tensor([12, 12]), turns=most)):
        labels = torch.tensor([[label for label, _ in found]], dtype=torch.int64)
        lattice = top.lattice(es[row : row + 1], labels)[0]
        turns = answers[row].reshape(12, most, CLASSES)
        count = 0
        for step in range(12):
            for turn in turns[step]:
                torch.testing.assert_close(turn, lattice[step, count], rtol=0, atol=EXACT)
                count += int(turn.argmax() != top.blank)
        assert count == labels.shape[1]


def test_the_labels_of_a_row_are_read_up_to_its_end_with_the_step_that_put_each_out():
    blank, one, two = torch.eye(3)[[2, 0, 1]]
    answers = torch.stack([torch.cat(turns) for turns in ((blank, blank), (one, two), (two, blank), (one, one))])
    assert labels_of(answers[None].repeat(2, 1, 1), torch.tensor([4, 2]), turns=2) == [
        [(0, 1), (1, 1), (1, 2), (0, 3), (0, 3)],
        [(0, 1), (1, 1)],
    ]


def test_a_prediction_network_that_needs_the_whole_sequence_is_refused():
    with pytest.raises(ValueError, match="prediction network reads labels as they come"):
        built(prediction="bidirectional")


def test_an_encoder_may_be_any_cell_and_one_that_reads_ahead_makes_all_wait(seed):
    torch.manual_seed(seed)
    cell, _ = built(encoder={"architecture": "stack", "layers": ["lstm", "skip"]})
    assert cell.causal
    xs: Tensor = torch.randn(1, 3, INPUT, dtype=torch.float64)
    assert cell.scan(xs, cell.init_state(1))[0].shape == (1, 3, CLASSES)
    assert built(encoder={"architecture": "lookahead", "context": 2})[0].delay == 2
