import pytest
import torch

from tests.training.diagnosis.walks import walk_of
from training.architectures import ARCHITECTURES, build_cell
from training.architectures.lstm import LSTM
from training.cell import Cell
from training.diagnosis.gates import gates

GATED = {
    "coupled_lstm": ["i", "o"],
    "gru": ["r", "z"],
    "lstm": ["f", "i", "o"],
    "lstm_1997": ["i", "o"],
    "minimal_gated": ["f"],
    "peephole_lstm": ["f", "i", "o"],
    "projected_lstm": ["f", "i", "o"],
}


def test_a_saturated_gate_is_counted_under_its_own_name():
    cell = LSTM(2, 4)
    with torch.no_grad():
        cell.U.zero_()
        cell.W.zero_()
        # i is 0.05 and 0.12, f 0.95, 0.95, 0.95 and 0.88, o in the middle.
        cell.b[:] = torch.tensor([-3.0, -3, -2, -2, 3, 3, 3, 2, 0, 0, 0, 0, 0, 0, 0, 0])
    found = gates(walk_of(cell))
    assert (found["f"].shut, found["f"].open) == (0, 0.75)
    assert (found["i"].shut, found["i"].open) == (0.5, 0)
    assert (found["o"].shut, found["o"].open) == (0, 0)


@pytest.mark.parametrize("name", GATED)
def test_each_gated_cell_names_its_gates(name):
    assert sorted(gates(walk_of(build_cell(name, 2, 4)))) == GATED[name]


@pytest.mark.parametrize(("name", "first"), [("gru", "r"), ("lstm", "i"), ("lstm_1997", "i"), ("coupled_lstm", "i")])
def test_names_are_those_of_the_parameters(name, first):
    cell = build_cell(name, 2, 4)
    with torch.no_grad():
        cell.U.zero_()
        cell.W.zero_()
        cell.b.zero_()
        cell.b[:4] = 9
    found = gates(walk_of(cell))
    assert [gate for gate, one in found.items() if one.open] == [first]


def test_a_reset_that_is_not_there_is_not_named():
    assert list(gates(walk_of(build_cell("gru", 2, 4, {"reset": "none"})))) == ["z"]


def test_gates_of_cells_inside_have_their_place_and_no_listener_stays():
    cell = build_cell("stack", 2, 4, {"layers": ("lstm", "elman", "gru")})
    walk = walk_of(cell)
    assert sorted(gates(walk)) == ["cells.0.f", "cells.0.i", "cells.0.o", "cells.2.r", "cells.2.z"]
    assert not any("step" in vars(one) for one in cell.modules())


def test_padding_is_not_counted():
    cell = LSTM(1, 2)
    with torch.no_grad():
        cell.W.zero_()
        cell.b.zero_()
        cell.U.fill_(50.0)
    walk = walk_of(cell, rows=2, time=6, lengths=torch.tensor([3, 6]))
    with torch.no_grad():
        walk.xs[:] = 1
        walk.xs[0, 3:] = -1
    assert all((one.shut, one.open) == (0, 1) for one in gates(walk).values())


def test_every_cell_of_the_table_that_has_a_gate_of_lstm_or_gru_is_held_here():
    named = {
        name for name, line in ARCHITECTURES.items() if isinstance(line.cell, type) and issubclass(line.cell, Cell)
    }
    gated = {name for name in named if name in GATED or getattr(ARCHITECTURES[name].cell, "gates", ())}
    assert gated == GATED.keys()
