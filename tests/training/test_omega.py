import pytest
import torch

from training.architectures.gru import GRU
from training.architectures.rnn import RNN
from training.errors import WrongUse
from training.omega import check_omega, flow, omega, unrolled

ROWS, TIME, HIDDEN = 3, 6, 5


def made(activation: str = "tanh") -> tuple[RNN, list[torch.Tensor], torch.Tensor]:
    torch.manual_seed(0)
    cell = RNN(2, HIDDEN, activation=activation).double()  # type: ignore[arg-type]
    hs, _ = unrolled(cell, torch.randn(ROWS, TIME, 2, dtype=torch.float64), cell.init_state(ROWS))
    return cell, hs, (hs[-1] * torch.randn(ROWS, HIDDEN, dtype=torch.float64)).sum()


@pytest.mark.parametrize("activation", ["tanh", "relu"])
def test_it_is_what_the_equation_says(activation):
    cell, hs, loss = made(activation)
    deltas = torch.autograd.grad(loss, hs, retain_graph=True)
    terms = []
    for k in range(TIME - 1):
        for row in range(ROWS):
            h = hs[k + 1][row]
            slope = 1 - h**2 if activation == "tanh" else (h > 0).double()
            back = deltas[k + 1][row] @ torch.diag(slope) @ cell.W
            norm = deltas[k + 1][row].norm()
            terms.append((back.norm() / norm - 1) ** 2 if norm > 0 else torch.zeros(()))
    assert omega(cell, hs, loss).item() == pytest.approx(torch.stack(terms).mean().item(), rel=1e-9)


def test_its_gradient_is_the_finite_difference_in_w_with_all_else_given():
    cell, hs, loss = made()
    (found,) = torch.autograd.grad(omega(cell, hs, loss), cell.W, retain_graph=True)
    after = torch.stack(torch.autograd.grad(loss, hs, retain_graph=True))[1:]
    states = torch.stack(hs).detach()[1:]
    step = 1e-6
    for i, j in [(0, 0), (2, 4), (4, 1)]:
        nudge = torch.zeros_like(cell.W)
        nudge[i, j] = step
        up, down = (flow(cell.W.detach() + sign * nudge, states, after, lambda h: 1 - h**2).item() for sign in (1, -1))
        assert found[i, j].item() == pytest.approx((up - down) / (2 * step), abs=1e-6)


def test_nothing_but_w_learns_from_it():
    cell, hs, loss = made()
    others = [parameter for name, parameter in cell.named_parameters() if name != "W"]
    gradients = torch.autograd.grad(omega(cell, hs, loss), others, retain_graph=True, allow_unused=True)
    assert all(gradient is None for gradient in gradients)


def test_it_is_zero_where_an_orthogonal_w_passes_every_gradient_on():
    weight = torch.linalg.qr(torch.randn(HIDDEN, HIDDEN, dtype=torch.float64))[0]
    after = torch.randn(TIME, ROWS, HIDDEN, dtype=torch.float64)
    assert flow(weight, torch.zeros_like(after), after, lambda h: 1 - h**2).item() < 1e-20
    assert flow(2 * weight, torch.zeros_like(after), after, lambda h: 1 - h**2).item() == pytest.approx(1.0)


def test_steps_that_no_loss_comes_from_count_as_kept():
    after = torch.zeros(TIME, ROWS, HIDDEN)
    assert flow(torch.randn(HIDDEN, HIDDEN), torch.zeros_like(after), after, lambda h: 1 - h**2).item() == 0.0


def test_a_gated_cell_has_none():
    with pytest.raises(
        WrongUse, match=r"training.omega is for a plain network .* use it with elman, irnn or orthogonal"
    ):
        check_omega(GRU(2, 3))
