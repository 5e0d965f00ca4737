import torch
from torch import nn

from training.architectures.lstm import LSTM


def test_the_total_forget_bias_is_one_and_the_others_are_zero(seed):
    torch.manual_seed(seed)
    i, f, g, o = LSTM(3, 4).b.detach().chunk(4)
    assert f.tolist() == [1.0] * 4
    assert not torch.cat([i, g, o]).any()


def test_a_cell_that_keeps_and_never_writes_holds_its_value_for_a_thousand_steps(seed):
    torch.manual_seed(seed)
    cell = LSTM(3, 4).double()
    with torch.no_grad():
        cell.U.zero_()
        cell.W.zero_()
        cell.b.view(4, 4)[:2] = torch.tensor([[-1e4], [1e4]])  # i = 0, f = 1
    c = torch.randn(2, 4, dtype=torch.float64)
    state = {"h": torch.randn(2, 4, dtype=torch.float64), "c": c}
    xs = torch.randn(2, 1000, 3, dtype=torch.float64)
    for lengths in (None, torch.tensor([1000, 1000])):
        assert torch.equal(cell.scan(xs, state, lengths)[1]["c"], c)


def test_it_computes_what_torchs_own_lstm_does(seed):
    torch.manual_seed(seed)
    cell, reference = LSTM(3, 4).double(), nn.LSTM(3, 4, batch_first=True).double()
    with torch.no_grad():
        cell.U.copy_(reference.weight_ih_l0)
        cell.W.copy_(reference.weight_hh_l0)
        cell.b.copy_(reference.bias_ih_l0 + reference.bias_hh_l0)
    xs, h, c = (torch.randn(shape, dtype=torch.float64) for shape in ((5, 7, 3), (5, 4), (5, 4)))
    expected, (last_h, last_c) = reference(xs, (h[None], c[None]))
    for lengths in (None, torch.full((5,), 7)):
        ys, state = cell.scan(xs, {"h": h, "c": c}, lengths)
        for found, wanted in ((ys, expected), (state["h"], last_h[0]), (state["c"], last_c[0])):
            torch.testing.assert_close(found, wanted, rtol=0, atol=1e-12)
