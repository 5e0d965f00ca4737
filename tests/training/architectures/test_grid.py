import pytest
import torch
from torch.nn import functional

from training.architectures import build_cell
from training.architectures.grid import Grid

EXACT = 1e-12
ROWS, HEIGHT, WIDTH = 3, 5, 4


def grid(**options) -> Grid:
    cell = build_cell("grid", WIDTH, 2, options).double()
    assert isinstance(cell, Grid)
    return cell


def some_grids() -> torch.Tensor:
    return torch.randn(ROWS, HEIGHT, WIDTH, dtype=torch.float64)


def whole(xs: torch.Tensor) -> torch.Tensor:
    return torch.full((len(xs),), xs.shape[1])


def swept(cell, line: torch.Tensor) -> torch.Tensor:
    """Read a line `[batch, places, numbers]` one step after the other."""
    state, ys = cell.init_state(len(line)), []
    for x in line.unbind(1):
        y, state = cell.step(x, state)
        ys.append(y)
    return torch.stack(ys, 1)


def both(cells, line: torch.Tensor) -> torch.Tensor:
    return torch.cat([swept(cells.forward_cell, line), swept(cells.backward_cell, line.flip(1)).flip(1)], -1)


@pytest.mark.parametrize("layer", ["gru", "lstm", "leaky"])
def test_columns_are_read_down_and_up_and_then_rows_to_the_right_and_the_left(seed, layer):
    torch.manual_seed(seed)
    cell, xs = grid(layer=layer), some_grids()
    v = torch.stack([both(cell.vertical, xs[:, :, column, None]) for column in range(WIDTH)], 2)
    expected = torch.stack([both(cell.horizontal, v[:, row]) for row in range(HEIGHT)], 1)
    torch.testing.assert_close(cell.field(xs, whole(xs)), expected, rtol=0, atol=EXACT)


def test_a_rows_answer_is_what_each_direction_has_put_out_at_its_end(seed):
    torch.manual_seed(seed)
    cell, xs = grid(), some_grids()
    field, ys = cell.field(xs, whole(xs)), cell.read(xs, whole(xs))
    assert torch.equal(ys, torch.cat([field[:, :, -1, :2], field[:, :, 0, 2:]], -1))


def test_every_place_has_seen_the_whole_grid(seed):
    torch.manual_seed(seed)
    cell, xs = grid(), some_grids()[:1].requires_grad_()
    field = cell.field(xs, whole(xs))
    for row in range(HEIGHT):
        for column in range(WIDTH):
            [seen] = torch.autograd.grad(field[0, row, column].sum(), xs, retain_graph=True)
            assert bool((seen != 0).all()), (row, column)


@pytest.mark.parametrize(("width", "patches"), [(1, 1), (3, 1), (4, 2), (7, 3)])
def test_a_grid_of_any_width_is_read_in_patches_of_which_zeros_fill_the_last(seed, width, patches):
    torch.manual_seed(seed)
    cell, xs = grid(patch=3), torch.randn(ROWS, HEIGHT, width, dtype=torch.float64)
    filled = functional.pad(xs, (0, 3 * patches - width))
    assert cell.field(xs, whole(xs)).shape == (ROWS, HEIGHT, patches, 4)
    assert torch.equal(cell.read(xs, whole(xs)), cell.read(filled, whole(xs)))


def test_what_a_grid_puts_out_is_no_grid(seed):
    with pytest.raises(ValueError, match="can only be the first"):
        build_cell("stack", WIDTH, 2, {"layers": ("gru", "grid")})
