import pytest
import torch

from training.architectures.selective_state_space import LONGEST, SHORTEST, SelectiveStateSpace


def test_delta_begins_within_its_range_where_nothing_is_read(seed):
    torch.manual_seed(seed)
    deltas = torch.nn.functional.softplus(SelectiveStateSpace(3, 400).b)
    assert ((deltas > 0.99 * SHORTEST) & (deltas < 1.01 * LONGEST)).all()
    # Uniform in the logarithm: the median is the geometric mean of the ends.
    assert deltas.median().item() == pytest.approx((SHORTEST * LONGEST) ** 0.5, rel=0.4)


@pytest.mark.parametrize("past", [1, 3])
def test_the_convolution_reads_as_far_back_as_it_says(past, seed):
    torch.manual_seed(seed)
    cell = SelectiveStateSpace(2, 4, past=past).double()
    with torch.no_grad():
        cell.V.zero_()
        cell.b.fill_(-60.0)  # no time passes: the state keeps nothing, and what is left is the convolution
    xs = torch.randn(1, 9, 2, dtype=torch.float64)
    changed = xs.clone()
    changed[:, 3] += 1
    differs = (cell.scan(xs, cell.init_state(1))[0] != cell.scan(changed, cell.init_state(1))[0]).any(-1)[0]
    assert differs.tolist() == [3 <= t <= 3 + past for t in range(9)]


def test_what_takes_no_time_leaves_the_state_as_it_was(seed):
    torch.manual_seed(seed)
    cell = SelectiveStateSpace(2, 4).double()
    with torch.no_grad():
        cell.V.zero_()
        cell.b.fill_(-60.0)
    state = {name: torch.randn_like(tensor) for name, tensor in cell.init_state(1).items()}
    _, after = cell.step(torch.randn(1, 2, dtype=torch.float64), state)
    torch.testing.assert_close(after["h"], state["h"], rtol=1e-12, atol=1e-12)
