from math import exp

import torch

from training.architectures.rwkv import RWKV


def average(rate: float, keys: list[float], values: list[float]) -> torch.Tensor:
    """What a cell of one unit puts out whose key and value are its inputs, and whose gate is one half."""
    cell = RWKV(2, 1).double()
    with torch.no_grad():
        cell.mu.fill_(1.0)
        cell.W.copy_(torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]]))
        cell.O.fill_(2.0)
        cell.d.copy_(torch.tensor([rate], dtype=torch.float64).log())
    xs = torch.tensor([[keys, values]], dtype=torch.float64).transpose(1, 2)
    return cell.scan(xs, cell.init_state(1))[0][0, :, 0]


def test_it_puts_out_the_average_of_all_values_so_far_weighted_by_their_keys():
    keys, values, rate = [0.3, -1.0, 2.0, 0.5], [1.0, -2.0, 3.0, 0.25], 0.7
    found = average(rate, keys, values)
    for t in range(4):
        weights = [exp(keys[i] - (t - 1 - i) * rate * (i < t)) for i in range(t + 1)]
        wanted = sum(w * v for w, v in zip(weights, values, strict=False)) / sum(weights)
        torch.testing.assert_close(found[t].item(), wanted, rtol=1e-12, atol=0)


def test_keys_of_any_size_overflow_nothing():
    found = average(0.1, [800.0, -900.0, 850.0], [1.0, 5.0, 2.0])
    torch.testing.assert_close(found, torch.tensor([1.0, 1.0, 2.0], dtype=torch.float64))
