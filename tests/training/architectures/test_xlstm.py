import pytest
import torch

from training.architectures import build_cell


@pytest.mark.parametrize("name", ["slstm", "mlstm"])
@pytest.mark.parametrize("size", [1e-3, 300.0])
def test_gates_of_any_size_overflow_nothing(name, size, seed):
    torch.manual_seed(seed)
    cell = build_cell(name, 3, 4)
    ys, state = cell.scan(size * torch.randn(2, 50, 3), cell.init_state(2))
    assert ys.isfinite().all()
    assert all(tensor.isfinite().all() for tensor in state.values())


def test_a_step_whose_gate_is_large_outweighs_all_before_it(seed):
    torch.manual_seed(seed)
    cell = build_cell("slstm", 2, 1).double()
    with torch.no_grad():
        # The gate reads the first input, what is remembered the second; the output gate is open.
        cell.W.copy_(torch.tensor([[1.0, 0.0], [0.0, 0.0], [0.0, 1.0], [0.0, 0.0]]))
        cell.R.zero_()
        cell.b.copy_(torch.tensor([0.0, 40.0, 0.0, 40.0]))
    xs = torch.tensor([[[0.0, 0.5], [0.0, -0.5], [30.0, 1.0], [0.0, -2.0]]], dtype=torch.float64)
    ys = cell.scan(xs, cell.init_state(1))[0][0, :, 0]
    wanted = torch.tensor([0.5, 0.0, 1.0, 1.0], dtype=torch.float64)
    wanted[[0, 2, 3]] = wanted[[0, 2, 3]].tanh()
    torch.testing.assert_close(ys, wanted, rtol=0, atol=1e-10)


def test_a_head_reads_its_own_units_alone(seed):
    torch.manual_seed(seed)
    cell = build_cell("slstm", 2, 6, {"heads": 3}).double()
    state = cell.scan(torch.randn(1, 3, 2, dtype=torch.float64), cell.init_state(1))[1]
    x = torch.randn(1, 2, dtype=torch.float64)
    other = {**state, "h": state["h"].clone()}
    other["h"][:, 2:4] += 1
    differs = (cell.step(x, state)[0] != cell.step(x, other)[0])[0]
    assert differs.tolist() == [False, False, True, True, False, False]


@pytest.mark.parametrize("name", ["slstm", "mlstm"])
def test_heads_that_do_not_divide_the_units_are_refused(name):
    with pytest.raises(ValueError, match=r"6 hidden units are not divided by cell\.heads, 4"):
        build_cell(name, 3, 6, {"heads": 4})
