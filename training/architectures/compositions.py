r"""Compositions: how the node of a tree is made of its children's, or of a word.

    h = tanh(W [l, r] + b)                                                plain
    h = tanh([l, r]' V [l, r] + W [l, r] + b)                             tensor
    i = sigmoid(U_i [l, r] + b_i);  f_l, f_r, o alike;  u = tanh(U_u [l, r] + b_u)
    c = i * u + f_l * c_l + f_r * c_r;  h = o * tanh(c)                   lstm; a word's i, o, u are of its embedding
    p = tanh(W [B a, A b] + b);  P = W_M [A; B]                           matrix_vector; A, B are the children's own
    i, o, u of U sum_k h_k + W x + b;  f_k = sigmoid(U_f h_k + W_f x + b_f)
    c = i * u + sum_k f_k * c_k;  h = o * tanh(c)                         child_sum; x is the node's own symbol

Deep Learning, section 10.6, figure 10.14; Socher, Huang, Pennington, Ng and Manning, "Dynamic pooling and unfolding
recursive autoencoders", 2011, for the plain one; Socher et al., "Recursive deep models for semantic compositionality
over a sentiment treebank", 2013, for the tensor; Socher, Huval, Manning and Ng, "Semantic compositionality through
recursive matrix-vector spaces", 2012, equations 2 and 3; Tai, Socher and Manning, "Improved semantic representations
from tree-structured long short-term memory networks", 2015, equations 2 to 8 for the sum and 9 to 14 for two children.
"""

import abc
from collections.abc import Callable, Mapping
from typing import final

import torch
from torch import Tensor, nn
from typing_extensions import override

from training.architectures.weights import uniform, zeros


class Composition(nn.Module, abc.ABC):
    """How nodes are made; `width` numbers tell one, of which the first `size` are its vector.

    Attributes:
        reads: numbers of a symbol's embedding.
        arity: how many children a node has that has any; 0 for any number.
    """

    size: int
    width: int
    reads: int
    arity: int = 0

    @abc.abstractmethod
    def node(self, x: Tensor, given: Tensor, has: Tensor) -> Tensor:
        """Make a node of its symbol and its children.

        Args:
            x: the symbol's embedding, `[n, reads]`.
            given: the children's nodes, `[n, most, width]`, zeros where there is none.
            has: which there are, `[n, most]`.
        """


class Binary(Composition, abc.ABC):
    """Nodes are words, or have two children and no symbol of their own."""

    arity = 2

    @abc.abstractmethod
    def leaf(self, x: Tensor) -> Tensor:
        """Make the node of a word, `[n, reads]` to `[n, width]`."""

    @abc.abstractmethod
    def parent(self, left: Tensor, right: Tensor) -> Tensor:
        """Make the node of two, `[n, width]` each."""

    @override
    def node(self, x: Tensor, given: Tensor, has: Tensor) -> Tensor:
        return torch.where(has[:, :1], self.parent(given[:, 0], given[:, 1]), self.leaf(x))


@final
class Plain(Binary):
    """W `[n, 2n]`, b `[n]`, and of the tensor V `[2n, 2n * n]`; a word's vector is its embedding."""

    def __init__(self, size: int, *, tensor: bool = False) -> None:
        super().__init__()
        self.size = self.width = self.reads = size
        self.W = uniform(size, 2 * size, units=2 * size)
        self.b = zeros(size)
        self.V = nn.Parameter(torch.randn(2 * size, 2 * size * size) / (20 * size)) if tensor else None

    @override
    def leaf(self, x: Tensor) -> Tensor:
        return x.tanh()

    @override
    def parent(self, left: Tensor, right: Tensor) -> Tensor:
        both = torch.cat([left, right], -1)
        a = both @ self.W.T + self.b
        if self.V is not None:
            slices = (both @ self.V).view(-1, 2 * self.size, self.size)
            # By two rows, since a sum of one has another order.
            a = a + torch.stack([both, both], 1).bmm(slices)[:, 0]
        return a.tanh()


@final
class TreeLSTM(Binary):
    """W `[3n, n]`, a `[3n]` of words for i, o, u; U `[5n, 2n]`, b `[5n]` of parents for i, o, u, f_l, f_r."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size, self.width, self.reads = size, 2 * size, size
        self.W = uniform(3 * size, size, units=size)
        self.a = zeros(3 * size)
        self.U = uniform(5 * size, 2 * size, units=2 * size)
        self.b = zeros(5 * size)

    @override
    def leaf(self, x: Tensor) -> Tensor:
        i, o, u = (x @ self.W.T + self.a).chunk(3, -1)
        c = i.sigmoid() * u.tanh()
        return torch.cat([o.sigmoid() * c.tanh(), c], -1)

    @override
    def parent(self, left: Tensor, right: Tensor) -> Tensor:
        (h_l, c_l), (h_r, c_r) = left.chunk(2, -1), right.chunk(2, -1)
        i, o, u, f_l, f_r = (torch.cat([h_l, h_r], -1) @ self.U.T + self.b).chunk(5, -1)
        c = i.sigmoid() * u.tanh() + f_l.sigmoid() * c_l + f_r.sigmoid() * c_r
        return torch.cat([o.sigmoid() * c.tanh(), c], -1)


@final
class MatrixVector(Binary):
    """W `[n, 2n]`, b `[n]`, W_M `[n, 2n]`. A word's matrix is a diagonal and a product of thin matrices, all its own.

    Args:
        size: of the vectors.
        rank: of the product.
    """

    def __init__(self, size: int, *, rank: int = 3) -> None:
        super().__init__()
        self.size, self.width, self.reads = size, size + size * size, 2 * size + 2 * rank * size
        self.W = uniform(size, 2 * size, units=2 * size)
        self.b = zeros(size)
        self.W_M = uniform(size, 2 * size, units=2 * size)

    @override
    def leaf(self, x: Tensor) -> Tensor:
        vector, diagonal, thin = torch.split(x, [self.size, self.size, self.reads - 2 * self.size], -1)
        tall, wide = thin.chunk(2, -1)
        product = tall.reshape(x.shape[0], self.size, -1) @ wide.reshape(x.shape[0], -1, self.size)
        # At first a matrix changes little.
        matrix = product + torch.diag_embed(1 + diagonal)
        return torch.cat([vector.tanh(), matrix.flatten(1)], -1)

    @override
    def parent(self, left: Tensor, right: Tensor) -> Tensor:
        (a, A), (b, B) = self._read(left), self._read(right)
        p = (torch.cat([_moved(B, a), _moved(A, b)], -1) @ self.W.T + self.b).tanh()
        P = self.W_M @ torch.cat([A, B], 1)
        return torch.cat([p, P.flatten(1)], -1)

    def _read(self, node: Tensor) -> tuple[Tensor, Tensor]:
        vector, matrix = torch.split(node, [self.size, self.size * self.size], -1)
        return vector, matrix.reshape(-1, self.size, self.size)


def _moved(matrix: Tensor, vector: Tensor) -> Tensor:
    """Multiply `[n, size, size]` with `[n, size]`; by two columns, since a sum of one has another order."""
    return matrix.bmm(torch.stack([vector, vector], -1))[..., 0]


@final
class ChildSum(Composition):
    """W `[4n, n]`, b `[4n]` of x for i, o, u, f; U `[3n, n]` of the children's sum; F `[n, n]` of each child."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size, self.width, self.reads = size, 2 * size, size
        self.W = uniform(4 * size, size, units=size)
        self.b = zeros(4 * size)
        self.U = uniform(3 * size, size, units=size)
        self.F = uniform(size, size, units=size)

    @override
    def node(self, x: Tensor, given: Tensor, has: Tensor) -> Tensor:
        hs, cs = given.chunk(2, -1)
        own = x @ self.W.T + self.b
        iou, of_f = torch.split(own, [3 * self.size, self.size], -1)
        i, o, u = (iou + _summed(hs) @ self.U.T).chunk(3, -1)
        f = (of_f[:, None] + hs @ self.F.T).sigmoid()
        c = i.sigmoid() * u.tanh() + _summed(f * cs)
        return torch.cat([o.sigmoid() * c.tanh(), c], -1)


def _summed(given: Tensor) -> Tensor:
    """Add `[n, most, size]` up one after the other, which has one order whatever the batch."""
    total = given[:, 0]
    for place in range(1, given.shape[1]):
        total = total + given[:, place]
    return total


COMPOSITIONS: Mapping[str, Callable[[int], Composition]] = {
    "plain": Plain,
    "tensor": lambda size: Plain(size, tensor=True),
    "lstm": TreeLSTM,
    "matrix_vector": MatrixVector,
    "child_sum": ChildSum,
}
