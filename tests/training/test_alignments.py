from itertools import combinations
from math import exp

import pytest
import torch
from torch import Tensor

from training.alignments import log_likelihood


def lattice(rows: int, time: int, most: int, classes: int = 4) -> tuple[Tensor, Tensor]:
    logits = torch.randn(rows, time, most + 1, classes, dtype=torch.float64)
    return logits, torch.randint(classes - 1, (rows, most))


def sum_over_all_paths(logits: Tensor, labels: list[int]) -> float:
    """Add up every way through a lattice `[time, labels + 1, classes]`: where among the blanks each label comes."""
    probabilities, time, total = logits.softmax(-1), len(logits), 0.0
    # The last blank ends the sequence, and is the last of all.
    for places in combinations(range(time - 1 + len(labels)), len(labels)):
        t = u = 0
        path = 1.0
        for move in range(time - 1 + len(labels)):
            if move in places:
                path *= probabilities[t, u, labels[u]].item()
                u += 1
            else:
                path *= probabilities[t, u, -1].item()
                t += 1
        total += path * probabilities[t, u, -1].item()
    return total


@pytest.mark.parametrize("time", [1, 2, 5])
@pytest.mark.parametrize("count", [0, 1, 3])
def test_the_probability_of_labels_is_the_sum_over_all_ways_to_put_them_out(time, count, seed):
    torch.manual_seed(seed)
    logits, labels = lattice(1, time, count)
    found = log_likelihood(logits, labels, torch.tensor([time]), torch.tensor([count]))
    assert exp(found.item()) == pytest.approx(sum_over_all_paths(logits[0], labels[0].tolist()), rel=1e-12)


def test_the_probabilities_of_all_that_can_be_put_out_sum_to_one(seed):
    torch.manual_seed(seed)
    # Two classes: a label and the blank, the label less and less probable the more there were.
    logits = torch.zeros(1, 3, 61, 2, dtype=torch.float64)
    logits[..., 1] = 1 + torch.arange(61) / 4
    total = 0.0
    for count in range(61):
        labels = torch.zeros(1, count, dtype=torch.int64)
        total += (
            log_likelihood(logits[:, :, : count + 1], labels, torch.tensor([3]), torch.tensor([count])).exp().item()
        )
    assert total == pytest.approx(1.0, abs=1e-12)


def test_a_padded_row_is_as_alone_whatever_pads_it(seed):
    torch.manual_seed(seed)
    logits, labels = lattice(3, 6, 4)
    times, counts = torch.tensor([6, 2, 4]), torch.tensor([1, 4, 0])
    found = log_likelihood(logits, labels, times, counts)
    for row, (time, count) in enumerate(zip(times.tolist(), counts.tolist(), strict=True)):
        alone = log_likelihood(
            logits[row : row + 1, :time, : count + 1],
            labels[row : row + 1, :count],
            times[row : row + 1],
            counts[row : row + 1],
        )
        torch.testing.assert_close(found[row], alone[0], rtol=1e-12, atol=0)


def test_its_gradient_is_that_of_finite_differences(seed):
    torch.manual_seed(seed)
    logits, labels = lattice(2, 3, 2)
    times, counts = torch.tensor([3, 2]), torch.tensor([2, 1])
    assert torch.autograd.gradcheck(
        lambda given: log_likelihood(given, labels, times, counts), (logits.requires_grad_(),)
    )
