r"""A network over trees that are given whole: each node by its symbol and the places of its children, before it.

    n_j = node(x_j, n_{c_1}, ..., n_{c_K})                                  as compositions has them

A node of the first level has no children, one of another has children of the levels before it, and all nodes of one
level of all trees of a batch are made together. What comes as nodes and is no tree puts out NaN: a child that is no
node before its parent, as one on a cycle cannot be; one with two parents; nodes that the last one is not above; more
levels than there may be. Deep Learning, section 10.6, figure 10.14.
"""

from typing import Literal, final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from typing_extensions import override

from models.tensors import Array
from training.architectures.compositions import COMPOSITIONS
from training.architectures.recursive import DEVIATION
from training.architectures.trees import read_nodes
from training.cell import Cell, State, Whole, some_lengths
from training.options import Count

Kind = Literal["plain", "tensor", "lstm", "matrix_vector", "child_sum"]


@final
class Nodes(Cell):
    """A node a step.

    States: `nodes [batch, nodes, …]`, those to come being zeros; the `level` of each, and as how many's child it is
    `taken`; `place [batch, 1]` of the next one, and `broken [batch, 1]`, 1 where they can be no tree any more.
    """

    def __init__(self, most: int, size: int, *, symbols: int, composition: Kind, depth: int) -> None:
        super().__init__()
        self.composition = COMPOSITIONS[composition](size)
        if self.composition.arity not in (0, most):
            raise ValueError(f"'{composition}' has nodes of {self.composition.arity} children; the data has {most}")
        self.input_size, self.output_size, self.symbols = 1 + most, size, symbols
        self.free = {"nodes": "nodes", "level": "nodes", "taken": "nodes"}
        self.depth = depth
        self.E = nn.Parameter(DEVIATION * torch.randn(symbols, self.composition.reads))

    @override
    def init_state(self, batch_size: int) -> State:
        nothing = torch.zeros(batch_size, 1, dtype=torch.int64, device=self.E.device)
        nodes = self.E.new_zeros(batch_size, 1, self.composition.width)
        return {"nodes": nodes, "level": nothing, "taken": nothing, "place": nothing, "broken": nothing}

    @override
    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        nodes, place = state["nodes"], state["place"]
        symbol, children = x[:, :1], x[:, 1:]
        has = children >= 0
        at = torch.minimum(children.clamp(min=0), (place - 1).clamp(min=0))
        given = nodes.gather(1, at[..., None].expand(-1, -1, nodes.shape[2]))
        given = torch.where(has[..., None], given, 0.0)
        known = symbol.clamp(0, self.symbols - 1)
        node = self.composition.node(self.E[known[:, 0]], given, has)
        level = torch.where(has, 1 + state["level"].gather(1, at), 0).amax(1, keepdim=True)
        places = torch.arange(nodes.shape[1], device=x.device)
        taken = state["taken"]
        for child, there in zip(children.unbind(1), has.unbind(1), strict=True):
            taken = taken + ((places == child[:, None]) & there[:, None]).long()
        wrong = (children >= place) | (children < -1)
        wrong = wrong.any(1, keepdim=True) | (known != symbol) | (level > self.depth) | self._misses(has)
        broken = torch.where(wrong | (taken > 1).any(1, keepdim=True), 1, state["broken"])
        here = places == place
        return node[:, : self.output_size], {
            "nodes": torch.where(here[..., None], node[:, None], nodes),
            "level": torch.where(here, level, state["level"]),
            "taken": taken,
            "place": place + 1,
            "broken": broken,
        }

    def _misses(self, has: Tensor) -> Tensor:
        """Tell which nodes have some of their children and not all, `[batch, 1]`."""
        if not self.composition.arity:
            return torch.zeros_like(has[:, :1])
        return has.any(1, keepdim=True) & ~has.all(1, keepdim=True)


@final
class Tree(Whole):
    """Symbols and children `[batch, nodes, 1 + most]`, -1 for no child, the root last; each node is answered.

    Args:
        fields: of a step: the symbol, and as many children as a node may have.
        size: of a node's vector.
        symbols: how many there are.
        composition: how a node is made.
        depth: levels above the first that a tree may have.
    """

    def __init__(
        self, fields: int, size: int, *, symbols: Count = 8, composition: Kind = "child_sum", depth: Count = 100
    ) -> None:
        super().__init__()
        if fields < 2:
            raise ValueError("trees come with the places of their children; data.options.children = true gives them")
        self.node = Nodes(fields - 1, size, symbols=symbols, composition=composition, depth=depth)
        self.input_size, self.output_size, self.symbols = fields, size, symbols
        # What comes after a node's symbol are places.
        self.spelled = 1
        self.refuses = (
            "the nodes are no tree: a child must be a node before its parent and of no other, all but the last must be "
            f"children, and a tree has at most {depth} levels above its first"
        )

    @override
    def draw_inputs(
        self, rows: int, time: int, state: State, random: np.random.Generator
    ) -> tuple[Array, NDArray[np.int64]]:
        arity = self.node.composition.arity
        lengths = some_lengths(rows, time, random)
        if arity:
            lengths -= (lengths - 1) % arity
        drawn = np.full((rows, time, self.input_size), -1)
        drawn[..., 0] = random.integers(0, self.symbols, (rows, time))
        for nodes, length in zip(drawn, lengths.tolist(), strict=True):
            _join(nodes[:length], arity, random)
        return drawn[:, : int(lengths.max())], lengths

    @override
    def read(self, xs: Tensor, lengths: Tensor) -> Tensor:
        node, (rows, time) = self.node, xs.shape[:2]
        read = read_nodes(xs, lengths, node.symbols, node.composition.arity, node.depth)
        nobody = rows * time
        nodes = node.E.new_zeros(nobody + 1, node.composition.width)
        for level in read.levels:
            children = read.children[level]
            made = node.composition.node(node.E[xs.flatten(0, 1)[level, 0]], nodes[children], children < nobody)
            nodes = nodes.index_copy(0, level, made)
        ys = nodes[:-1, : self.output_size].view(rows, time, -1)
        return torch.where(read.whole[:, None, None], ys, torch.nan)


def _join(nodes: Array, arity: int, random: np.random.Generator) -> None:
    """Draw children for nodes `[count, 1 + most]`, so that the last is above all."""
    loose: list[int] = []
    most = nodes.shape[1] - 1
    for place in range(len(nodes)):
        # What is loose must still be joined by the nodes that are left.
        needed = len(loose) - (len(nodes) - place - 1) * (most - 1)
        if arity:
            count = arity if needed > 0 or (len(loose) >= arity and random.random() < 0.5) else 0
        else:
            count = max(needed, min(len(loose), int(random.integers(0, most + 1))))
        children = random.permutation(loose)[:count].tolist()
        nodes[place, 1 : 1 + count] = children
        loose = [*(node for node in loose if node not in children), place]
