r"""Four networks of two dimensions over a grid, such as an image: one from each corner, which remembers two ways.

    x_{i,j}                                                          numbers that lie side by side in row i: a patch
    i, f, e, g, o = U x_{i,j} + W [h_{i-1,j}, h_{i,j-1}] + b         of the places above and to the left
    c_{i,j} = sigmoid(f) * c_{i-1,j} + sigmoid(e) * c_{i,j-1} + sigmoid(i) * tanh(g)
    h_{i,j} = sigmoid(o) * tanh(c_{i,j})
    O_{i,j} = [h_{i,j} of each network]                              which has seen the whole grid
    o_i = [h_{i,last} of those that go right, h_{i,1} of those that go left]         a row's answer

The other three read the same grid upside down, from its right, or both. Graves, Fernandez and Schmidhuber,
"Multi-dimensional recurrent neural networks", 2007, without peepholes. Deep Learning, section 10.3.
"""

import math
from collections.abc import Iterable
from typing import final

import torch
from torch import Tensor, nn
from torch.nn import functional
from typing_extensions import override

from training.architectures.bidirectional import reverse
from training.architectures.fields import Field
from training.options import Count

NETWORKS, GATES = 4, 5


@final
class MultidimensionalLSTM(Field):
    """Networks go right and down, right and up, left and down, left and up.

    Parameters by network, and in it by gate in the order i, f, e, g, o: U `[4, 5 hidden, patch]`,
    W `[4, 5 hidden, 2 hidden]`, b `[4, 5 hidden]`.
    """

    def __init__(self, input_size: int, hidden_size: int, *, patch: Count = 1) -> None:
        super().__init__()
        self.input_size = input_size
        self.hidden_size = hidden_size
        self.output_size = NETWORKS * hidden_size
        self.patch = patch
        bound, gates = 1 / math.sqrt(hidden_size), GATES * hidden_size
        self.U = nn.Parameter(torch.empty(NETWORKS, gates, patch).uniform_(-bound, bound))
        self.W = nn.Parameter(torch.empty(NETWORKS, gates, 2 * hidden_size).uniform_(-bound, bound))
        # Two forget gates that are half open keep as much as one that is open; more would grow from place to place.
        self.b = nn.Parameter(torch.zeros(NETWORKS, gates))

    @override
    def field(self, xs: Tensor, lengths: Tensor) -> Tensor:
        patches = self.patches(xs)
        grids = torch.stack(_turned([patches] * NETWORKS, lengths))
        gates = grids.flatten(1, 3) @ self.U.mT + self.b[:, None]
        hs = self._swept(gates.view(*grids.shape[:4], -1))
        return torch.cat(_turned(hs, lengths), -1)

    def _swept(self, gates: Tensor) -> Tensor:
        """Read from the first corner, `[4, batch, height, patches, 5 hidden]` to `[…, hidden]`.

        Places of one diagonal do not see each other, and are one step: the state has for column j the place in row
        d - j. Beyond the grid gates are given zeros and not their biases, so that a state of zeros stays zeros there.
        """
        height = gates.shape[2]
        h = c = gates.new_zeros(NETWORKS, gates.shape[1], gates.shape[3], self.hidden_size)
        hs = []
        for diagonal in skewed(gates.transpose(2, 3)).unbind(3):
            h, c = self._diagonal(diagonal, h, c)
            hs.append(h)
        return straightened(torch.stack(hs, 3), height).transpose(2, 3)

    def _diagonal(self, x: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
        """Do a diagonal, `[4, batch, patches, …]`: the one before has the place above, and the left one beside it."""
        left_h, left_c = (functional.pad(state, (0, 0, 1, -1)) for state in (h, c))
        seen = torch.cat([h, left_h], -1).flatten(1, 2) @ self.W.mT
        i, f, e, g, o = (x + seen.view_as(x)).chunk(GATES, -1)
        c = f.sigmoid() * c + e.sigmoid() * left_c + i.sigmoid() * g.tanh()
        return o.sigmoid() * c.tanh(), c


def skewed(lines: Tensor) -> Tensor:
    """Shift line j by j places, `[…, …, lines, places, features]` to as many diagonals, zeros around the places."""
    first, second, count, places, features = lines.shape
    longer = functional.pad(lines, (0, 0, 0, count)).flatten(2, 3)
    return longer[:, :, :-count].reshape(first, second, count, places + count - 1, features)


def straightened(diagonals: Tensor, places: int) -> Tensor:
    """Shift lines back, to their places."""
    first, second, count, _, features = diagonals.shape
    flat = functional.pad(diagonals.flatten(2, 3), (0, 0, 0, count))
    return flat.view(first, second, count, places + count, features)[:, :, :, :places]


def _turned(grids: Iterable[Tensor], lengths: Tensor) -> list[Tensor]:
    """Turn grids `[batch, height, patches, …]` so that each network begins at its corner, or turn them back."""
    right_down, right_up, left_down, left_up = grids
    return [right_down, reverse(right_up, lengths), left_down.flip(2), reverse(left_up, lengths).flip(2)]
