"""The probability of labels that nobody has aligned with the steps: the sum over all ways in which they may be due."""

import torch
from torch import Tensor


def log_likelihood(logits: Tensor, labels: Tensor, times: Tensor, counts: Tensor) -> Tensor:
    """Give the logarithm of the probability of each row's labels, `[batch]`.

    alpha(t, u) = alpha(t-1, u) blank(t-1, u) + alpha(t, u-1) label(t, u-1), and that of the labels is
    alpha(T-1, U) blank(T-1, U). Graves, "Sequence transduction with recurrent neural networks", 2012, section 2.
    Along u that is a sum of differences of a cumulative sum, so that a step of time is one
    operation for all u.

    Args:
        logits: at step t after u labels, `[batch, time, most labels + 1, classes]`, the last class the blank.
        labels: INT64 `[batch, most labels]`; padding may be any label.
        times: valid steps of each row, at least one, `[batch]`.
        counts: labels of each row, `[batch]`.
    """
    log_probs = logits.log_softmax(-1)
    blanks = log_probs[..., -1]
    wanted = labels[:, None, :, None].expand(-1, logits.shape[1], -1, -1)
    emitted = log_probs[:, :, :-1].gather(-1, wanted)[..., 0]
    # What it costs to have put out the first u labels all at one step, `[batch, time, most labels + 1]`.
    at_once = torch.nn.functional.pad(emitted.cumsum(-1), (1, 0))
    alpha = at_once[:, 0]
    alphas = [alpha]
    for t in range(1, logits.shape[1]):
        alpha = at_once[:, t] + (alpha + blanks[:, t - 1] - at_once[:, t]).logcumsumexp(-1)
        alphas.append(alpha)
    ends = torch.stack(alphas, 1) + blanks
    rows = torch.arange(len(logits), device=logits.device)
    return ends[rows, times - 1, counts]
