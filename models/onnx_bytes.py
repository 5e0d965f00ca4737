"""Writes small ONNX graphs as bytes: the server makes a few of its own, and has no package that writes them."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from models.tensors import DType

# The last version of the operators in which ReduceSum's axes are an attribute, and the format of its time.
OPSET, IR_VERSION = 12, 7

# The numbers of onnx.proto.
_VARINT, _BYTES = 0, 2
_INT, _INTS = 2, 7
_ELEMENT: dict[DType, int] = {
    "FP32": 1,
    "UINT8": 2,
    "INT8": 3,
    "UINT16": 4,
    "INT16": 5,
    "INT32": 6,
    "INT64": 7,
    "BOOL": 9,
    "FP16": 10,
    "FP64": 11,
    "UINT32": 12,
    "UINT64": 13,
}


class Tensor(NamedTuple):
    """An input or output of a graph, whose axes may have any size."""

    name: str
    dtype: DType
    rank: int


class Node(NamedTuple):
    """One operator; its attributes are numbers, or lists of them."""

    operator: str
    inputs: Sequence[str]
    output: str
    attributes: Mapping[str, int | Sequence[int]] = {}


def element(dtype: DType) -> int:
    """Give ONNX's number of a datatype."""
    return _ELEMENT[dtype]


def graph_bytes(nodes: Sequence[Node], inputs: Sequence[Tensor], outputs: Sequence[Tensor]) -> bytes:
    """Write a graph as the bytes of an ONNX file."""
    graph = b"".join(_field(1, _node(node)) for node in nodes) + _field(2, "graph")
    graph += b"".join(_field(11, _tensor(tensor)) for tensor in inputs)
    graph += b"".join(_field(12, _tensor(tensor)) for tensor in outputs)
    return _field(1, IR_VERSION) + _field(7, graph) + _field(8, _field(1, "") + _field(2, OPSET))


def _node(node: Node) -> bytes:
    attributes = b"".join(_field(5, _attribute(*pair)) for pair in node.attributes.items())
    inputs = b"".join(_field(1, name) for name in node.inputs)
    return inputs + _field(2, node.output) + _field(4, node.operator) + attributes


def _attribute(name: str, value: int | Sequence[int]) -> bytes:
    if isinstance(value, int):
        return _field(1, name) + _field(20, _INT) + _field(3, value)
    return _field(1, name) + _field(20, _INTS) + b"".join(_field(8, number) for number in value)


def _tensor(tensor: Tensor) -> bytes:
    shape = b"".join(_field(1, b"") for _ in range(tensor.rank))
    described = _field(1, _ELEMENT[tensor.dtype]) + _field(2, shape)
    return _field(1, tensor.name) + _field(2, _field(1, described))


def _field(number: int, value: int | str | bytes) -> bytes:
    """Write one field of a message: a number, or a text, bytes or another message with its length before it."""
    if isinstance(value, int):
        return _varint(number << 3 | _VARINT) + _varint(value)
    data = value.encode() if isinstance(value, str) else value
    return _varint(number << 3 | _BYTES) + _varint(len(data)) + data


def _varint(value: int) -> bytes:
    written = bytearray()
    while value > 0x7F:
        written.append(value & 0x7F | 0x80)
        value >>= 7
    written.append(value)
    return bytes(written)
