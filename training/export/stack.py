"""What goes on between the layers of a stack, as nodes: the same over time and for one step."""

from collections.abc import Callable

import numpy as np
from torch import nn

from training.architectures.stack import Stack
from training.cell import Cell
from training.export.builder import Builder

# A layer, the name of its inputs, and what its own names begin with: returns the name of its outputs.
LayerNodes = Callable[[Cell, str, str], str]


def stack_nodes(build: Builder, stack: Stack, xs: str, at: str, nodes: LayerNodes) -> str:
    """Write the layers one upon the other; normalisation is ONNX's own, whose rows do not depend on the batch."""
    ys = [xs]
    for number, layer in enumerate(stack.layers):
        place = f"{at}{number}."
        read = build.node("Concat", *ys, axis=-1) if stack.skip == "dense" and number else ys[-1]
        y = _normalised(build, stack, number, nodes(layer, read, place), place)
        ys.append(build.node("Add", y, ys[-1]) if stack.goes_around(number) else y)
    return build.node("Concat", *ys[1:], axis=-1) if stack.skip == "dense" else ys[-1]


def _normalised(build: Builder, stack: Stack, number: int, y: str, place: str) -> str:
    if stack.norms is None:
        return y
    norm = stack.norms[number]
    assert isinstance(norm, nn.LayerNorm)
    gain, bias = (
        build.constant(f"{place}norm.{name}", np.asarray(parameter.detach().cpu()))
        for name, parameter in norm.named_parameters()
    )
    return build.node("LayerNormalization", y, gain, bias, axis=-1, epsilon=norm.eps)
