"""The recurrence h_t = a_t h_{t-1} + b_t over all steps at once: training where the step is linear in its state.

Martin and Cundy, "Parallelizing linear recurrent neural nets over sequence length", 2018; the sums are doubled as in
Hillis and Steele, "Data parallel algorithms", 1986.
"""

import torch
from torch import Tensor


def linear_scan(a: Tensor, b: Tensor, h: Tensor) -> Tensor:
    """Give h after every step, `[batch, time, …]`, in as many passes as time has binary digits.

    Args:
        a: what is kept, `[batch, time, …]`; real or complex.
        b: what comes in, `[batch, time, …]`.
        h: before the first step, `[batch, …]`.
    """
    hs = torch.cat([a[:, :1] * h[:, None] + b[:, :1], b[:, 1:]], 1)
    reach = 1
    # After each pass a step has seen twice as many before it, and `a` is what is kept of all of them.
    while reach < hs.shape[1]:
        hs = torch.cat([hs[:, :reach], hs[:, reach:] + a[:, reach:] * hs[:, :-reach]], 1)
        a = torch.cat([a[:, :reach], a[:, reach:] * a[:, :-reach]], 1)
        reach *= 2
    return hs


def at_lengths(hs: Tensor, lengths: Tensor | None) -> Tensor:
    """Give the state after each row's last valid step, `[batch, …]`."""
    if lengths is None:
        return hs[:, -1]
    return hs[torch.arange(len(hs), device=hs.device), lengths - 1]


def until(ys: Tensor, lengths: Tensor | None) -> Tensor:
    """Give outputs `[batch, time, features]` with zeros after each row's length."""
    if lengths is None:
        return ys
    valid = torch.arange(ys.shape[1], device=ys.device) < lengths[:, None]
    return torch.where(valid[..., None], ys, 0.0)
