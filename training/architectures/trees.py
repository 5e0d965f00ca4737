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


def balanced(words: Sequence[int], reduce: int) -> list[int]:
    """Give the actions of a balanced tree over words; its levels are the logarithm of how many, rounded up."""
    if len(words) == 1:
        return list(words)
    half = (len(words) + 1) // 2
    return [*balanced(words[:half], reduce), *balanced(words[half:], reduce), reduce]
