"""Operators that ONNX Runtime computes otherwise in another batch, so that a row's last bits would depend on it."""

from collections.abc import Iterator

import onnx

# Their vectorised kernels treat the tail of a tensor otherwise than its body, and a row's place decides where it falls;
# sums over an axis are grouped by its size. softplus(x) is -log_softmax([x, 0])[1], a sum a product with ones.
VARYING = frozenset(
    {"Atan", "Cos", "Einsum", "Elu", "Log", "Mish", "ReduceMean", "ReduceSum", "Selu", "Sin", "Softplus"}
)


def varying_operators(graph: bytes) -> list[str]:
    """Name the operators of a graph, and of the graphs inside it, that break batch invariance."""
    return sorted({node.op_type for node in _nodes(onnx.load_from_string(graph).graph)} & VARYING)


def _nodes(graph: onnx.GraphProto) -> Iterator[onnx.NodeProto]:
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            yield from _nodes(attribute.g)
