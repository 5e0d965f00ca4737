import pytest
import torch
from torch import Tensor, nn

from training.architectures.rnn import RNN

LENGTHS = [[1], [2, 1], [7, 2, 5, 1]]


def softmax_less_truth(o: Tensor, y: Tensor) -> Tensor:
    """Equation 10.18: the gradient at the outputs."""
    return o.softmax(-1) - nn.functional.one_hot(y, o.shape[-1])


def by_the_chapters_equations(
    cell: RNN, V: Tensor, c: Tensor, xs: Tensor, ys: Tensor, h_0: Tensor
) -> tuple[dict[str, Tensor], list[Tensor]]:
    """Back-propagate through one row by equations 10.17 to 10.28: the parameters' gradients, and each h's."""
    hs = [h_0]
    for x in xs:
        hs.append((cell.b + cell.W @ hs[-1] + cell.U @ x).tanh())
    steps = len(xs)
    at_o = [softmax_less_truth(c + V @ h, y) for h, y in zip(hs[1:], ys, strict=True)]
    at_h = [torch.zeros_like(h_0)] * (steps + 1)
    at_h[steps] = V.T @ at_o[steps - 1]  # 10.19
    for t in reversed(range(1, steps)):
        at_h[t] = cell.W.T @ ((1 - hs[t + 1] ** 2) * at_h[t + 1]) + V.T @ at_o[t - 1]  # 10.21
    slopes = [(1 - hs[t] ** 2) * at_h[t] for t in range(1, steps + 1)]
    gradients = {
        "c": sum(at_o),  # 10.22
        "b": sum(slopes),  # 10.23
        "V": sum(torch.outer(o, h) for o, h in zip(at_o, hs[1:], strict=True)),  # 10.24
        "W": sum(torch.outer(slope, h) for slope, h in zip(slopes, hs[:-1], strict=True)),  # 10.26
        "U": sum(torch.outer(slope, x) for slope, x in zip(slopes, xs, strict=True)),  # 10.28
    }
    return gradients, at_h[1:]


@pytest.mark.parametrize("lengths", LENGTHS)
def test_gradients_are_those_of_the_chapters_equations(lengths, seed):
    torch.manual_seed(seed)
    cell, rows, time = RNN(3, 4).double(), len(lengths), max(lengths)
    nn.init.normal_(cell.b)
    V, c = torch.randn(5, 4, dtype=torch.float64, requires_grad=True), torch.randn(5, dtype=torch.float64)
    c.requires_grad_()
    xs, h_0 = torch.randn(rows, time, 3, dtype=torch.float64), torch.randn(rows, 4, dtype=torch.float64)
    ys = torch.randint(5, (rows, time))
    hs, _ = cell.scan(xs, {"h": h_0}, torch.tensor(lengths))
    valid = torch.arange(time) < torch.tensor(lengths)[:, None]
    loss = nn.functional.cross_entropy((hs @ V.T + c)[valid], ys[valid], reduction="sum")
    given = {"U": cell.U, "V": V, "W": cell.W, "b": cell.b, "c": c}
    found = dict(zip(given, torch.autograd.grad(loss, list(given.values())), strict=True))
    with torch.no_grad():
        apart = [
            by_the_chapters_equations(cell, V, c, xs[row, :length], ys[row, :length], h_0[row])
            for row, length in enumerate(lengths)
        ]
    for name, gradient in found.items():
        expected = sum(gradients[name] for gradients, _ in apart)
        torch.testing.assert_close(gradient, expected, rtol=0, atol=1e-10)


@pytest.mark.parametrize("time", [1, 2, 7])
def test_the_gradient_at_each_hidden_state_is_that_of_the_chapters_equations(time, seed):
    torch.manual_seed(seed)
    cell = RNN(3, 4).double()
    V, c = torch.randn(5, 4, dtype=torch.float64), torch.randn(5, dtype=torch.float64)
    xs, h, ys = (
        torch.randn(time, 3, dtype=torch.float64),
        torch.randn(4, dtype=torch.float64),
        torch.randint(5, (time,)),
    )
    state, hs = {"h": h[None]}, []
    for x in xs:
        _, state = cell.step(x[None], state)
        hs.append(state["h"])
    loss = nn.functional.cross_entropy(torch.cat(hs) @ V.T + c, ys, reduction="sum")
    found = torch.autograd.grad(loss, hs)
    with torch.no_grad():
        _, expected = by_the_chapters_equations(cell, V, c, xs, ys, h)
    for one, wanted in zip(found, expected, strict=True):
        torch.testing.assert_close(one[0], wanted, rtol=0, atol=1e-10)


def test_it_computes_what_torchs_own_rnn_does(seed):
    torch.manual_seed(seed)
    for activation in ("tanh", "relu"):
        cell = RNN(3, 4, activation=activation).double()
        reference = nn.RNN(3, 4, batch_first=True, nonlinearity=activation).double()
        with torch.no_grad():
            cell.U.copy_(reference.weight_ih_l0)
            cell.W.copy_(reference.weight_hh_l0)
            cell.b.copy_(reference.bias_ih_l0 + reference.bias_hh_l0)
        xs, h = torch.randn(5, 7, 3, dtype=torch.float64), torch.randn(5, 4, dtype=torch.float64)
        for lengths in (None, torch.full((5,), 7)):
            torch.testing.assert_close(
                cell.scan(xs, {"h": h}, lengths)[0], reference(xs, h[None])[0], rtol=0, atol=1e-12
            )


def test_the_irnn_begins_as_the_identity_and_adds_up_what_it_reads():
    cell = RNN(3, 4, activation="relu", recurrent="identity")
    assert torch.equal(cell.W, torch.eye(4))
    with torch.no_grad():
        cell.U.copy_(torch.ones(4, 3))
    xs = torch.rand(2, 50, 3)
    ys, _ = cell.scan(xs, cell.init_state(2))
    torch.testing.assert_close(ys[..., 0], xs.sum(-1).cumsum(1))


def test_an_orthogonal_matrix_keeps_lengths(seed):
    torch.manual_seed(seed)
    W = RNN(3, 16, recurrent="orthogonal").W
    torch.testing.assert_close(W @ W.T, torch.eye(16), rtol=0, atol=1e-5)


@pytest.mark.parametrize("recurrent", ["uniform", "identity", "orthogonal"])
def test_the_weights_begin_at_the_scales_that_are_asked_for(recurrent, seed):
    torch.manual_seed(seed)
    plain = RNN(3, 20, recurrent=recurrent)
    torch.manual_seed(seed)
    scaled = RNN(3, 20, recurrent=recurrent, spectral_radius=0.95, input_scale=0.1)
    assert torch.linalg.eigvals(scaled.W.detach()).abs().max().item() == pytest.approx(0.95, abs=1e-5)
    torch.testing.assert_close(scaled.W / scaled.W.norm(), plain.W / plain.W.norm())
    torch.testing.assert_close(scaled.U, 0.1 * plain.U)
