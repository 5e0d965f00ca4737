r"""A network over a tree: the vectors of two children make that of their parent, from the words up.

    h = tanh(W [l, r] + b)                                                plain
    h = tanh([l, r]' V [l, r] + W [l, r] + b)                             tensor
    i = sigmoid(U_i [l, r] + b_i);  f_l, f_r, o alike;  u = tanh(U_u [l, r] + b_u)
    c = i * u + f_l * c_l + f_r * c_r;  h = o * tanh(c)                   lstm; a word's i, o, u are of its embedding

A tree comes as what a parser does: a word is shifted onto a stack, and the last symbol reduces the two on top to their
parent. So the same network reads a tree that is there and one that is being found. What it puts out at a step is the
vector of the node that the step makes; an action that the stack has no place or no children for puts out NaN, and
leaves the stack as it is.

Deep Learning, section 10.6, figure 10.14; Socher, Huang, Pennington, Ng and Manning, "Dynamic pooling and unfolding
recursive autoencoders", 2011, for the plain one; Socher et al., "Recursive deep models for semantic compositionality
over a sentiment treebank", 2013, for the tensor; Tai, Socher and Manning, "Improved semantic representations from
tree-structured long short-term memory networks", 2015, equations 9 to 14 for two children.
"""

import abc
from typing import Literal, final

import numpy as np
import torch
from torch import Tensor, nn
from typing_extensions import override

from models.tensors import Array
from training.architectures.trees import Trees, read_trees
from training.architectures.weights import uniform, zeros
from training.cell import Cell, State, where_rows
from training.options import Count

Kind = Literal["plain", "tensor", "lstm"]
DEVIATION = 0.1


class Composition(nn.Module, abc.ABC):
    """How nodes are made; `width` numbers tell one, of which the first `size` are its vector."""

    size: int
    width: int

    @abc.abstractmethod
    def leaf(self, x: Tensor) -> Tensor:
        """Make the node of a word, `[n, embedding]` to `[n, width]`."""

    @abc.abstractmethod
    def parent(self, left: Tensor, right: Tensor) -> Tensor:
        """Make the node of two, `[n, width]` each."""


@final
class Plain(Composition):
    """W `[n, 2n]`, b `[n]`, and of the tensor V `[2n, 2n * n]`; a word's vector is its embedding."""

    def __init__(self, size: int, *, tensor: bool = False) -> None:
        super().__init__()
        self.size = self.width = size
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
class TreeLSTM(Composition):
    """W `[3n, n]`, a `[3n]` of words for i, o, u; U `[5n, 2n]`, b `[5n]` of parents for i, o, u, f_l, f_r."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size, self.width = size, 2 * size
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
class Recursive(Cell):
    """States: `nodes [batch, depth, …]`, the stack, and `height [batch, 1]`, how many there are.

    Args:
        words: 1: a step is one symbol.
        size: of a node's vector, and of a word's embedding.
        symbols: words and, last, the one that reduces.
        composition: how a parent is made.
        depth: nodes that the stack has place for.
    """

    def __init__(
        self, words: int, size: int, *, symbols: Count = 8, composition: Kind = "lstm", depth: Count = 60
    ) -> None:
        super().__init__()
        self.input_size, self.output_size, self.symbols = words, size, symbols
        self.depth = depth
        self.E = nn.Parameter(DEVIATION * torch.randn(symbols, size))
        kinds = {"plain": Plain, "tensor": lambda size: Plain(size, tensor=True), "lstm": TreeLSTM}
        self.composition: Composition = kinds[composition](size)
        self.below = {"height": 3}
        self.refuses = (
            f"the stack has place for {depth} nodes, and two are needed to reduce: the action is not possible"
        )

    @override
    def init_state(self, batch_size: int) -> State:
        height = torch.zeros(batch_size, 1, dtype=torch.int64, device=self.E.device)
        return {"nodes": self.E.new_zeros(batch_size, self.depth, self.composition.width), "height": height}

    @override
    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        stack, height = state["nodes"], state["height"]
        reduces = x == self.symbols - 1
        place = torch.where(reduces, height - 2, height)
        can = ((place >= 0) & (place < self.depth))[:, 0]
        left, right = (self._node(stack, height - down) for down in (2, 1))
        leaf = self.composition.leaf(self.E[x[:, 0]])
        node = torch.where(reduces, self.composition.parent(left, right), leaf)
        here = torch.arange(self.depth, device=x.device) == place
        placed = torch.where(here[..., None], node[:, None], stack)
        y = torch.where(can[:, None], node[:, : self.output_size], torch.nan)
        return y, {"nodes": where_rows(can, placed, stack), "height": where_rows(can, place + 1, height)}

    @override
    def draw_inputs(self, rows: int, time: int, state: State, random: np.random.Generator) -> Array:
        height = state["height"][:, 0].numpy().copy()
        drawn = np.empty((rows, time), np.int64)
        for step in range(time):
            reduces = (height >= 2) & ((random.random(rows) < 0.5) | (height >= self.depth))
            drawn[:, step] = np.where(reduces, self.symbols - 1, random.integers(0, self.symbols - 1, rows))
            height += np.where(reduces, -1, 1)
        return drawn

    def _node(self, stack: Tensor, place: Tensor) -> Tensor:
        places = place.clamp(min=0)[..., None].expand(-1, -1, stack.shape[2])
        return stack.gather(1, places)[:, 0]

    @override
    def scan(self, xs: Tensor, state: State, lengths: Tensor | None = None) -> tuple[Tensor, State]:
        trees = None if state["height"].any() else read_trees(xs[..., 0], self.symbols - 1, self.depth, lengths)
        return super().scan(xs, state, lengths) if trees is None else self._by_levels(xs, trees)

    def _by_levels(self, xs: Tensor, trees: Trees) -> tuple[Tensor, State]:
        """Make all nodes of one level of all trees together, the words first."""
        rows, time = xs.shape[:2]
        nodes = self.E.new_zeros(rows * time + 1, self.composition.width)
        words, *levels = trees.levels
        nodes = nodes.index_copy(0, words, self.composition.leaf(self.E[xs.flatten()[words]]))
        for level in levels:
            made = self.composition.parent(nodes[trees.left[level]], nodes[trees.right[level]])
            nodes = nodes.index_copy(0, level, made)
        ys = nodes[:-1, : self.output_size].view(rows, time, -1)
        return ys, {"nodes": nodes[trees.stack], "height": trees.heights}
