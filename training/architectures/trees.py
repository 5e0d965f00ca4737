"""Trees as what a parser does, shifts and reductions: read to their levels, and made where no parse is given."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor


class Trees(NamedTuple):
    """The nodes of rows of actions, each numbered by its row and step, `row * time + step`; the number after is nobody.

    Attributes:
        levels: the nodes of each level, the words first: the children of one are in those before it.
        left, right: the children of each node, `[rows * time]`.
        stack: what is on each row's stack in the end, `[rows, depth]`, nobody above its height.
        heights: how many there are, `[rows, 1]`.
    """

    levels: list[Tensor]
    left: Tensor
    right: Tensor
    stack: Tensor
    heights: Tensor


def read_trees(actions: Tensor, reduce: int, depth: int, lengths: Tensor | None) -> Trees | None:
    """Follow actions `[rows, time]` from empty stacks; None where one cannot be done."""
    rows, time = actions.shape
    nobody = rows * time
    left, right, level = [nobody] * nobody, [nobody] * nobody, [-1] * nobody
    stacks: list[list[int]] = []
    ends = [time] * rows if lengths is None else lengths.tolist()
    for row, (symbols, end) in enumerate(zip(actions.tolist(), ends, strict=True)):
        stack: list[int] = []
        for node, symbol in enumerate(symbols[:end], row * time):
            if symbol != reduce:
                level[node] = 0
            elif len(stack) < 2:
                return None
            else:
                right[node], left[node] = stack.pop(), stack.pop()
                level[node] = 1 + max(level[left[node]], level[right[node]])
            stack.append(node)
            if len(stack) > depth:
                return None
        stacks.append(stack)
    return _as_tensors(level, left, right, stacks, depth, actions.device)


def _as_tensors(
    level: Sequence[int],
    left: Sequence[int],
    right: Sequence[int],
    stacks: Sequence[Sequence[int]],
    depth: int,
    device: torch.device,
) -> Trees:
    levels: list[list[int]] = [[] for _ in range(1 + max(level))]
    for node, number in enumerate(level):
        if number >= 0:
            levels[number].append(node)
    padded = [[*stack, *[len(level)] * (depth - len(stack))] for stack in stacks]
    return Trees(
        [torch.tensor(nodes, device=device) for nodes in levels],
        torch.tensor(left, device=device),
        torch.tensor(right, device=device),
        torch.tensor(padded, device=device),
        torch.tensor([[len(stack)] for stack in stacks], device=device),
    )


class Nodes(NamedTuple):
    """Rows of nodes with their children, numbered as in Trees.

    Attributes:
        levels: the nodes of each level of the rows that are trees.
        children: of each node, nobody where there is none, `[rows * time, most]`.
        whole: which rows are trees, `[rows]`.
    """

    levels: list[Tensor]
    children: Tensor
    whole: Tensor


def read_nodes(xs: Tensor, lengths: Tensor, symbols: int, arity: int, depth: int) -> Nodes:
    """Follow nodes `[rows, time, 1 + most]`, each its symbol and the places of its children, -1 for none."""
    rows, time, fields = xs.shape
    nobody = rows * time
    children = torch.full((nobody, fields - 1), nobody)
    levels: list[list[int]] = []
    whole = []
    for row, (nodes, length) in enumerate(zip(xs.tolist(), lengths.tolist(), strict=True)):
        level = _levels_of(nodes[:length], symbols, arity, depth)
        whole.append(level is not None)
        for place, number in enumerate(level or ()):
            levels += [[] for _ in range(number + 1 - len(levels))]
            levels[number].append(row * time + place)
            for at, child in enumerate(nodes[place][1:]):
                if child >= 0:
                    children[row * time + place, at] = row * time + child
    numbered = [torch.tensor(nodes, device=xs.device) for nodes in levels]
    return Nodes(numbered, children.to(xs.device), torch.tensor(whole, device=xs.device))


def _levels_of(nodes: Sequence[Sequence[int]], symbols: int, arity: int, depth: int) -> list[int] | None:
    """Give the level of each node; None where they are no tree."""
    levels: list[int] = []
    taken: set[int] = set()
    for place, (symbol, *given) in enumerate(nodes):
        children = [child for child in given if child >= 0]
        level = 1 + max((levels[child] for child in children if child < place), default=-1)
        fits = not children or not arity or len(children) == arity
        fits = fits and 0 <= symbol < symbols and min(given) >= -1 and level <= depth
        if not fits or max(children, default=-1) >= place or len({*children} - taken) < len(children):
            return None
        levels.append(level)
        taken.update(children)
    return levels if len(taken) == len(nodes) - 1 else None


def with_children(actions: Sequence[int], reduce: int) -> list[tuple[int, int, int]]:
    """Give each node's symbol and the places of its children, -1 for none, from the actions that make it."""
    nodes: list[tuple[int, int, int]] = []
    stack: list[int] = []
    for place, symbol in enumerate(actions):
        right, left = (stack.pop(), stack.pop()) if symbol == reduce else (-1, -1)
        nodes.append((symbol, left, right))
        stack.append(place)
    return nodes


def balanced(words: Sequence[int], reduce: int) -> list[int]:
    """Give the actions of a balanced tree over words; its levels are the logarithm of how many, rounded up."""
    if len(words) == 1:
        return list(words)
    half = (len(words) + 1) // 2
    return [*balanced(words[:half], reduce), *balanced(words[half:], reduce), reduce]
