import pytest
import torch
from torch.nn import functional

from training.architectures import ARCHITECTURES, build_cell
from training.architectures.multidimensional_lstm import MultidimensionalLSTM, skewed, straightened

EXACT = 1e-12
ROWS, HEIGHT, WIDTH, HIDDEN = 3, 5, 4, 2
# Whether each network goes from the top and from the left.
CORNERS = [(True, True), (False, True), (True, False), (False, False)]


def build(**options) -> MultidimensionalLSTM:
    cell = build_cell("multidimensional_lstm", WIDTH, HIDDEN, options).double()
    assert isinstance(cell, MultidimensionalLSTM)
    with torch.no_grad():
        cell.b.normal_()
    return cell


def some_grids(height: int = HEIGHT, width: int = WIDTH) -> torch.Tensor:
    return torch.randn(ROWS, height, width, dtype=torch.float64)


def whole(xs: torch.Tensor) -> torch.Tensor:
    return torch.full((len(xs),), xs.shape[1])


def swept(cell: MultidimensionalLSTM, network: int, patches: torch.Tensor) -> torch.Tensor:
    """Read patches `[height, width, patch]` place by place, each from the one above and the one to the left."""
    U, W, b = cell.U[network], cell.W[network], cell.b[network]
    height, width = patches.shape[:2]
    nothing = {(i, j): torch.zeros(HIDDEN, dtype=torch.float64) for i in range(-1, height) for j in range(-1, width)}
    h, c = dict(nothing), dict(nothing)
    for place in range(height * width):
        at = row, column = divmod(place, width)
        above, left = (row - 1, column), (row, column - 1)
        i, f, e, g, o = (U @ patches[at] + W @ torch.cat([h[above], h[left]]) + b).chunk(5)
        c[at] = f.sigmoid() * c[above] + e.sigmoid() * c[left] + i.sigmoid() * g.tanh()
        h[at] = o.sigmoid() * c[at].tanh()
    return torch.stack([torch.stack([h[row, column] for column in range(width)]) for row in range(height)])


@pytest.mark.parametrize(("height", "width"), [(1, 1), (1, 4), (5, 1), (5, 4), (2, 7)])
def test_each_network_is_the_papers_over_the_places_from_its_corner(seed, height, width):
    torch.manual_seed(seed)
    cell, xs = build(), some_grids(height, width)
    field = cell.field(xs, whole(xs))
    for row, grid in enumerate(xs[..., None]):
        for network, (top, left) in enumerate(CORNERS):
            axes = [axis for axis, first in enumerate((top, left)) if not first]
            expected = swept(cell, network, grid.flip(axes)).flip(axes)
            found = field[row, ..., network * HIDDEN : (network + 1) * HIDDEN]
            torch.testing.assert_close(found, expected, rtol=0, atol=EXACT)


def test_every_place_has_seen_all_that_lies_towards_its_networks_corner_and_nothing_else(seed):
    torch.manual_seed(seed)
    cell, xs = build(), some_grids()[:1].requires_grad_()
    field = cell.field(xs, whole(xs))
    for network, (top, left) in enumerate(CORNERS):
        for row in range(HEIGHT):
            for column in range(WIDTH):
                of = field[0, row, column, network * HIDDEN : (network + 1) * HIDDEN].sum()
                [seen] = torch.autograd.grad(of, xs, retain_graph=True)
                expected = torch.zeros(HEIGHT, WIDTH, dtype=torch.bool)
                rows = slice(0, row + 1) if top else slice(row, None)
                expected[rows, slice(0, column + 1) if left else slice(column, None)] = True
                assert torch.equal(seen[0] != 0, expected), (network, row, column)


def test_a_rows_answer_is_what_each_network_has_put_out_at_its_end_of_it(seed):
    torch.manual_seed(seed)
    cell, xs = build(), some_grids()
    field, half = cell.field(xs, whole(xs)), 2 * HIDDEN
    assert torch.equal(cell.read(xs, whole(xs)), torch.cat([field[:, :, -1, :half], field[:, :, 0, half:]], -1))


def test_networks_that_go_up_begin_in_each_grids_own_last_row(seed):
    torch.manual_seed(seed)
    cell, xs = build(), some_grids()
    lengths = torch.tensor([2, HEIGHT, 3])
    field = cell.field(xs, lengths)
    for row, length in enumerate(lengths.tolist()):
        alone = cell.field(xs[row : row + 1, :length], lengths[row : row + 1])
        torch.testing.assert_close(field[row : row + 1, :length], alone, rtol=0, atol=EXACT)


@pytest.mark.parametrize(("width", "patches"), [(1, 1), (3, 1), (4, 2), (7, 3)])
def test_a_grid_of_any_width_is_read_in_patches_of_which_zeros_fill_the_last(seed, width, patches):
    torch.manual_seed(seed)
    cell, xs = build(patch=3), some_grids(width=width)
    filled = functional.pad(xs, (0, 3 * patches - width))
    assert cell.field(xs, whole(xs)).shape == (ROWS, HEIGHT, patches, 4 * HIDDEN)
    assert torch.equal(cell.read(xs, whole(xs)), cell.read(filled, whole(xs)))


@pytest.mark.parametrize(("lines", "places"), [(1, 1), (1, 5), (4, 1), (4, 5)])
def test_lines_are_shifted_to_diagonals_and_back(lines, places):
    given = torch.randn(2, 3, lines, places, 2)
    diagonals = skewed(given)
    assert diagonals.shape == (2, 3, lines, lines + places - 1, 2)
    for line in range(lines):
        assert torch.equal(diagonals[:, :, line, line : line + places], given[:, :, line])
    assert diagonals.count_nonzero() == given.count_nonzero()
    assert torch.equal(straightened(diagonals, places), given)


def test_it_learns_as_many_numbers_as_the_tables_formula_says():
    formula = ARCHITECTURES["multidimensional_lstm"].parameters
    found = sum(parameter.numel() for parameter in build(patch=3).parameters())
    assert found == eval(formula, {"n": HIDDEN, "patch": 3})
