"""Parameters as the cells begin with them."""

import math

import torch
from torch import Tensor, nn


def uniform(*shape: int, units: int) -> nn.Parameter:
    """Draw from plus and minus one over the square root of the units, as torch's own cells do."""
    bound = 1 / math.sqrt(units)
    return nn.Parameter(torch.empty(shape).uniform_(-bound, bound))


def zeros(*shape: int) -> nn.Parameter:
    """Begin at zero, as biases do."""
    return nn.Parameter(torch.zeros(shape))


def orthogonal(units: int) -> nn.Parameter:
    """Draw a matrix that keeps every length: gradients through it neither vanish nor explode."""
    W = torch.empty(units, units)
    nn.init.orthogonal_(W)
    return nn.Parameter(W)


def largest_eigenvalue(W: Tensor) -> float:
    """Give the spectral radius, the largest absolute eigenvalue, of a square matrix."""
    return float(torch.linalg.eigvals(W.double()).abs().max())


def groups(units: int, count: int) -> Tensor:
    """Number the group of each unit, `[units]`, in `count` groups as equal as can be; raises ValueError."""
    if count > units:
        raise ValueError(f"{units} hidden units do not make {count} groups")
    return torch.arange(units) * count // units
