"""Keeps a gradient from throwing the parameters far away.

By value: Mikolov, "Statistical language models based on neural networks", 2012. By norm: Pascanu, Mikolov and Bengio,
"On the difficulty of training recurrent neural networks", ICML 2013, algorithm 1. Deep Learning, section 10.11.1.
"""

from collections.abc import Iterable
from typing import NamedTuple

import torch
from torch import nn


class Clipped(NamedTuple):
    """The gradient's norm as it came, and whether it was made smaller."""

    norm: float
    clipped: bool


def clip(parameters: Iterable[nn.Parameter], *, norm: float, value: float | None) -> Clipped:
    """Clip each entry to `value`, if given, then the whole to `norm`, its direction kept."""
    given = [parameter for parameter in parameters if parameter.grad is not None]
    came = torch.nn.utils.get_total_norm([parameter.grad for parameter in given if parameter.grad is not None])
    cut = False
    if value is not None:
        cut = any(bool((parameter.grad.abs() > value).any()) for parameter in given if parameter.grad is not None)
        torch.nn.utils.clip_grad_value_(given, value)
    left = torch.nn.utils.clip_grad_norm_(given, norm)
    return Clipped(came.item(), cut or left.item() > norm)
