import torch

from training.architectures.lstm import LSTM
from training.architectures.lstm_variants import LSTM1997, CoupledLSTM, PeepholeLSTM, ProjectedLSTM


def test_without_a_forget_gate_the_cell_holds_whatever_it_has(seed):
    torch.manual_seed(seed)
    cell = LSTM1997(3, 4).double()
    with torch.no_grad():
        cell.b[:4] = -1e4  # i = 0
    c = torch.randn(2, 4, dtype=torch.float64)
    state = {"h": torch.randn(2, 4, dtype=torch.float64), "c": c}
    assert torch.equal(cell.scan(torch.randn(2, 1000, 3, dtype=torch.float64), state)[1]["c"], c)


def test_forget_gates_begin_open():
    for cell in (PeepholeLSTM(3, 4), ProjectedLSTM(3, 4)):
        i, f, g, o = cell.b.detach().chunk(4)
        assert f.tolist() == [1.0] * 4
        assert not torch.cat([i, g, o]).any()
    # Coupled, f = 1 - sigmoid(-1) = sigmoid(1).
    assert CoupledLSTM(3, 4).b.tolist() == [-1.0] * 4 + [0.0] * 8


def test_peepholes_shut_are_the_lstm(seed):
    torch.manual_seed(seed)
    cell, plain = PeepholeLSTM(3, 4).double(), LSTM(3, 4).double()
    plain.load_state_dict({name: tensor for name, tensor in cell.state_dict().items() if name != "P"})
    with torch.no_grad():
        cell.P.zero_()
    xs, state = torch.randn(2, 9, 3, dtype=torch.float64), cell.init_state(2)
    torch.testing.assert_close(cell.scan(xs, state)[0], plain.scan(xs, state)[0], rtol=0, atol=1e-12)


def test_a_coupled_cell_stays_between_what_it_was_and_what_it_reads(seed):
    torch.manual_seed(seed)
    cell = CoupledLSTM(3, 4)
    _, state = cell.scan(100 * torch.randn(5, 200, 3), cell.init_state(5))
    assert bool((state["c"].abs() <= 1).all())


def test_a_projection_of_the_identity_is_the_lstm(seed):
    torch.manual_seed(seed)
    cell, plain = ProjectedLSTM(3, 4, projection=4).double(), LSTM(3, 4).double()
    with torch.no_grad():
        cell.P.copy_(torch.eye(4))
    plain.load_state_dict({name: tensor for name, tensor in cell.state_dict().items() if name != "P"})
    xs, zeros = torch.randn(2, 9, 3, dtype=torch.float64), torch.zeros(2, 4, dtype=torch.float64)
    found, expected = cell.scan(xs, {"r": zeros, "c": zeros})[0], plain.scan(xs, {"h": zeros, "c": zeros})[0]
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)
