import pytest
import torch

from training.architectures import build_cell
from training.architectures.gated_delta import GatedDelta


def remembers(alpha: float, beta: float) -> GatedDelta:
    """A cell of width 4 whose input is the key, the query and the value, side by side, and whose gates are fixed."""
    cell = build_cell("gated_delta", 12, 4).double()
    assert isinstance(cell, GatedDelta)
    with torch.no_grad():
        cell.U.copy_(torch.eye(12))
        cell.w.zero_()
        cell.b.copy_(torch.tensor([alpha, beta]).logit())
        cell.O.copy_(torch.eye(4))
    return cell


def step(cell: GatedDelta, state, query: int, key: int, value: list[float]):
    places = torch.eye(4, dtype=torch.float64)
    x = torch.cat([places[query], places[key], torch.tensor(value, dtype=torch.float64)])
    y, state = cell.step(x[None], state)
    return y[0], state


def test_a_key_gives_the_value_that_it_was_last_given_and_others_keep_theirs():
    cell = remembers(1 - 1e-12, 1 - 1e-12)
    state = cell.init_state(1)
    _, state = step(cell, state, 0, 0, [1.0, 2.0, 3.0, 4.0])
    _, state = step(cell, state, 0, 1, [5.0, 6.0, 7.0, 8.0])
    y, state = step(cell, state, 1, 0, [9.0, 9.0, 9.0, 9.0])
    torch.testing.assert_close(y, torch.tensor([5.0, 6.0, 7.0, 8.0], dtype=torch.float64))
    y, _ = step(cell, state, 0, 2, [0.0] * 4)
    torch.testing.assert_close(y, torch.full((4,), 9.0, dtype=torch.float64))


def test_what_is_not_asked_for_fades_by_the_gate():
    cell = remembers(0.5, 1 - 1e-12)
    _, state = step(cell, cell.init_state(1), 0, 0, [1.0, 2.0, 3.0, 4.0])
    y, _ = step(cell, state, 0, 1, [0.0] * 4)
    torch.testing.assert_close(y, torch.tensor([0.5, 1.0, 1.5, 2.0], dtype=torch.float64))


def test_heads_that_do_not_divide_the_units_are_refused():
    with pytest.raises(ValueError, match=r"6 hidden units are not divided by cell\.heads, 4"):
        build_cell("gated_delta", 3, 6, {"heads": 4})
