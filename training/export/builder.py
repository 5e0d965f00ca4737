"""Puts an ONNX graph together node by node, naming what nobody names."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import NamedTuple, final

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

OPSET, IR = 21, 10
Attribute = int | float | list[int] | list[str] | onnx.GraphProto


class Steps(NamedTuple):
    """Which steps there are, each by the name of a tensor.

    Attributes:
        of: what has them, `[rows, time, …]`.
        lengths: steps of each row that are no padding, INT64 `[rows]`.
        valid: which those are, BOOL `[rows, time, 1]`.
    """

    of: str = "x"
    lengths: str = "lengths"
    valid: str = "valid"


@final
class Builder:
    """A graph that grows; every method returns the names of what it added.

    Args:
        scope: before the names that nobody gave, which within a graph and those inside it must differ.

    Attributes:
        steps: those that layers are read over.
    """

    INT32 = TensorProto.INT32
    INT64 = TensorProto.INT64

    def __init__(self, scope: str = "") -> None:
        self.steps = Steps()
        self._scope = scope
        self._nodes: list[onnx.NodeProto] = []
        self._constants: dict[str, onnx.TensorProto] = {}

    @contextmanager
    def over(self, steps: Steps) -> Iterator[None]:
        """Let the layers that are written meanwhile be read over other steps."""
        before, self.steps = self.steps, steps
        try:
            yield
        finally:
            self.steps = before

    def constant(self, name: str, value: np.ndarray) -> str:
        """Add a constant, once for a name."""
        self._constants.setdefault(name, numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def node(self, operator: str, *inputs: str, output: str | None = None, **attributes: Attribute) -> str:
        """Add a node with one output."""
        return self.nodes(operator, *inputs, outputs=[output] if output else 1, **attributes)[0]

    def nodes(self, operator: str, *inputs: str, outputs: int | list[str], **attributes: Attribute) -> list[str]:
        """Add a node with several outputs, named or counted."""
        stem = f"{self._scope}{operator}.{len(self._nodes)}"
        names = [f"{stem}.{i}" for i in range(outputs)] if isinstance(outputs, int) else outputs
        node = helper.make_node(operator, list(inputs), names, stem)
        node.attribute.extend(helper.make_attribute(name, value) for name, value in attributes.items())
        self._nodes.append(node)
        return names

    def copy(self, nodes: Iterable[onnx.NodeProto], constants: Iterable[onnx.TensorProto] = ()) -> None:
        """Add nodes as they are, and the constants that they read."""
        self._nodes.extend(nodes)
        self._constants.update((tensor.name, tensor) for tensor in constants)

    def body(self, inputs: list[onnx.ValueInfoProto], outputs: list[onnx.ValueInfoProto]) -> onnx.GraphProto:
        """Give the graph as one that a node runs, such as a Scan."""
        name = f"{self._scope}body"
        return helper.make_graph(self._nodes, name, inputs, outputs, list(self._constants.values()))

    def finish(self, inputs: list[onnx.ValueInfoProto], outputs: list[onnx.ValueInfoProto]) -> bytes:
        """Check the whole and serialise it; raises onnx.checker.ValidationError."""
        graph = helper.make_graph(self._nodes, "main", inputs, outputs, list(self._constants.values()))
        model = helper.make_model(
            graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR, producer_name="recur"
        )
        onnx.checker.check_model(model, full_check=True)
        return model.SerializeToString()
