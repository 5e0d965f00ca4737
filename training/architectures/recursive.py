r"""A network over a tree: the vectors of two children make that of their parent, from the words up.

    node = leaf(x), or parent(left, right)                                as compositions has them

A tree comes as what a parser does: a word is shifted onto a stack, and the last symbol reduces the two on top to their
parent. So the same network reads a tree that is there and one that is being found. What it puts out at a step is the
vector of the node that the step makes; an action that the stack has no place or no children for puts out NaN, and
leaves the stack as it is.

Deep Learning, section 10.6, figure 10.14. Bowman et al., "A fast unified model for parsing and sentence understanding",
2016, for the stack.
"""

from typing import Literal, final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from typing_extensions import override

from models.tensors import Array
from training.architectures.compositions import COMPOSITIONS, Binary
from training.architectures.trees import Trees, read_trees
from training.cell import Cell, State, some_lengths, where_rows
from training.options import Count

Kind = Literal["plain", "tensor", "lstm", "matrix_vector"]
DEVIATION = 0.1


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
        made = COMPOSITIONS[composition](size)
        assert isinstance(made, Binary)
        self.composition = made
        self.E = nn.Parameter(DEVIATION * torch.randn(symbols, made.reads))
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
    def draw_inputs(
        self, rows: int, time: int, state: State, random: np.random.Generator
    ) -> tuple[Array, NDArray[np.int64]]:
        height = state["height"][:, 0].numpy().copy()
        drawn = np.empty((rows, time), np.int64)
        for step in range(time):
            reduces = (height >= 2) & ((random.random(rows) < 0.5) | (height >= self.depth))
            drawn[:, step] = np.where(reduces, self.symbols - 1, random.integers(0, self.symbols - 1, rows))
            height += np.where(reduces, -1, 1)
        return drawn, some_lengths(rows, time, random)

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
