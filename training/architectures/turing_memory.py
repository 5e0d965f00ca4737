r"""Addressing of a memory that is differentiable everywhere: by content, then by place, by all heads at once.

    K(u, v) = u . v / (|u| |v|)
    w^c(i) = softmax over i of beta K(k, M(i))                      by content, equations 5 and 6
    w^g = g w^c + (1 - g) w_{t-1}                                   interpolation, equation 7
    w~(i) = sum over j of w^g(j) s(i - j)                           circular shift, equation 8
    w(i) = w~(i)^gamma / sum over j of w~(j)^gamma                  sharpening, equation 9

Graves, Wayne and Danihelka, "Neural Turing machines", 2014, section 3.3. Sums are products with ones and softplus is
a log-softmax: so a row has the same bits in any batch, which ONNX Runtime's own sums and softplus do not give it.
"""

from typing import NamedTuple

import torch
from torch import Tensor

# Under the root of a length, of a vector that may be zero: its length is then this one's root.
LEAST_SQUARE = 1e-16
# What a weight is at least before it is sharpened, as the power of zero has no gradient.
LEAST_WEIGHT = 1e-12


class Address(NamedTuple):
    """What heads emit to find their place: k is `[batch, heads, width]`, s as wide as there are shifts, others 1."""

    k: Tensor
    beta: Tensor
    g: Tensor
    s: Tensor
    gamma: Tensor


def address(raw: Tensor, width: int) -> Address:
    """Hold what heads emit, `[batch, heads, width + 2 shift + 4]`, to its ranges.

    Keys are within -1 and 1, beta is above 0, g a share, s sums to 1, and gamma is above 1.
    """
    k, positive, g, s = torch.split(raw, [width, 2, 1, raw.shape[-1] - width - 3], -1)
    beta, gamma = softplus(positive).chunk(2, -1)
    return Address(k.tanh(), beta, g.sigmoid(), s.softmax(-1), 1 + gamma)


def find(M: Tensor, w: Tensor, at: Address) -> Tensor:
    """Give the weights of all heads, `[batch, heads, slots]`, from the memory and the weights before."""
    by_content = content(M, at.k, at.beta)
    return sharpen(shift(w + at.g * (by_content - w), at.s), at.gamma)


def content(M: Tensor, k: Tensor, beta: Tensor) -> Tensor:
    """Weigh slots `[batch, slots, width]` by their likeness to keys, whatever the size of the memory's numbers."""
    # Again a least one, since the exporter takes a number as small as that under the roots for nothing.
    lengths = (_length(k) * _length(M).transpose(1, 2)).clamp_min(LEAST_SQUARE)
    return (beta * (k @ M.transpose(1, 2)) / lengths).softmax(-1)


def shift(w: Tensor, s: Tensor) -> Tensor:
    """Turn weights around the memory's ring; `s` says how likely each shift is, from the furthest back on."""
    reach, slots = s.shape[-1] // 2, w.shape[-1]
    ring = torch.cat([w[..., -reach:], w, w[..., :reach]], -1)
    turned = s[..., :1] * ring[..., 2 * reach : 2 * reach + slots]
    for at in range(1, s.shape[-1]):
        first = 2 * reach - at
        turned = turned + s[..., at : at + 1] * ring[..., first : first + slots]
    return turned


def sharpen(w: Tensor, gamma: Tensor) -> Tensor:
    """Raise weights to a power and let them sum to one; by the largest first, or all might vanish."""
    w = w.clamp_min(LEAST_WEIGHT)
    raised = (w / w.amax(-1, keepdim=True).detach()) ** gamma
    return raised / _total(raised)


def softplus(a: Tensor) -> Tensor:
    """Give log(1 + exp(a))."""
    return -torch.stack([a, torch.zeros_like(a)], -1).log_softmax(-1)[..., 1]


def _length(v: Tensor) -> Tensor:
    return (_total(v * v) + LEAST_SQUARE).sqrt()


def _total(v: Tensor) -> Tensor:
    return v @ v.new_ones(v.shape[-1], 1)
