"""Four networks of two dimensions as nodes: a Scan over the diagonals of the grid, turned for each network."""

from collections.abc import Iterable

import numpy as np
from onnx import TensorProto, ValueInfoProto, helper
from torch import Tensor

from training.architectures.multidimensional_lstm import GATES, NETWORKS, MultidimensionalLSTM
from training.export.builder import Builder
from training.export.grid import patches_of, row_answers


def multidimensional_nodes(build: Builder, cell: MultidimensionalLSTM, xs: str, at: str) -> str:
    """Write `[batch, height, width]` to `[batch, height, outputs]`, whatever height and width are."""
    patches, first = patches_of(build, xs, cell.patch), _numbers(build, 0)
    gates = []
    for network, grid in enumerate(_turned(build, [patches] * NETWORKS)):
        product = build.node("MatMul", grid, build.constant(f"cell.{at}U.{network}", _array(cell.U[network].T)))
        sums = build.node("Add", product, build.constant(f"cell.{at}b.{network}", _array(cell.b[network])))
        gates.append(build.node("Unsqueeze", sums, first))
    hs = build.nodes(
        "Split",
        _swept(build, cell, build.node("Concat", *gates, axis=0), at),
        outputs=NETWORKS,
        axis=0,
        num_outputs=NETWORKS,
    )
    turned = _turned(build, [build.node("Squeeze", one, first) for one in hs])
    return row_answers(build, build.node("Concat", *turned, axis=-1))


def _swept(build: Builder, cell: MultidimensionalLSTM, gates: str, at: str) -> str:
    """Write a Scan over diagonals, `[4, batch, height, patches, 5 hidden]` to `[…, hidden]`."""
    height, width = (build.node("Shape", gates, start=axis, end=axis + 1) for axis in (2, 3))
    columns = build.node("Transpose", gates, perm=[0, 1, 3, 2, 4])
    diagonals = _skewed(build, columns, width, GATES * cell.hidden_size)
    sizes = _joined(build, build.node("Shape", diagonals, end=3), cell.hidden_size)
    zeros = build.node("Expand", build.constant("zero", np.zeros(1, np.float32)), sizes)
    h, c, x = (f"{at}step.{name}" for name in ("h", "c", "x"))
    inner = Builder(f"{at}step.")
    weights = [build.constant(f"cell.{at}W.{network}", _array(one.T)) for network, one in enumerate(cell.W)]
    after = _diagonal(build, inner, (x, h, c), weights)
    *_, hs = build.nodes(
        "Scan",
        zeros,
        zeros,
        diagonals,
        outputs=3,
        body=inner.body(
            [*_values((h, c), cell.hidden_size), *_values([x], GATES * cell.hidden_size)],
            _values(after, cell.hidden_size),
        ),
        num_scan_inputs=1,
        scan_input_axes=[3],
        scan_output_axes=[3],
    )
    straight = _straightened(build, hs, (width, height), cell.hidden_size)
    return build.node("Transpose", straight, perm=[0, 1, 3, 2, 4])


def _diagonal(
    build: Builder, inner: Builder, inputs: tuple[str, str, str], weights: Iterable[str]
) -> tuple[str, str, str]:
    """Write one diagonal of `x, h, c` as the cell has it, its constants outside; gives h, c, and h once more."""
    x, h, c = inputs
    shift, axis = _numbers(build, 1, -1), _numbers(build, 2)
    left_h, left_c = (inner.node("Pad", state, shift, "", axis) for state in (h, c))
    both = inner.node("Concat", h, left_h, axis=-1)
    # A network each, since only matrices of two axes are packed at load, and quantized.
    each = inner.nodes("Split", both, outputs=NETWORKS, axis=0, num_outputs=NETWORKS)
    products = [inner.node("MatMul", one, weight) for one, weight in zip(each, weights, strict=True)]
    seen = inner.node("Concat", *products, axis=0)
    i, f, e, g, o = inner.nodes("Split", inner.node("Add", x, seen), outputs=GATES, axis=-1, num_outputs=GATES)
    above, left = (inner.node("Mul", inner.node("Sigmoid", by), of) for by, of in ((f, c), (e, left_c)))
    written = inner.node("Mul", inner.node("Sigmoid", i), inner.node("Tanh", g))
    new_c = inner.node("Add", inner.node("Add", above, left), written)
    new_h = inner.node("Mul", inner.node("Sigmoid", o), inner.node("Tanh", new_c))
    return new_h, new_c, inner.node("Identity", new_h)


def _skewed(build: Builder, lines: str, count: str, features: int) -> str:
    """Shift line j by j places, `[…, …, lines, places, features]` to as many diagonals."""
    longer = build.node("Pad", lines, _joined(build, 0, count), "", _numbers(build, 3))
    flat = build.node("Reshape", longer, _numbers(build, 0, 0, -1, features))
    cut = build.node("Slice", flat, _numbers(build, 0), build.node("Neg", count), _numbers(build, 2))
    return _shaped(build, cut, 0, 0, count, -1, features)


def _straightened(build: Builder, diagonals: str, sizes: tuple[str, str], features: int) -> str:
    """Shift lines back, to their places."""
    count, places = sizes
    flat = build.node("Reshape", diagonals, _numbers(build, 0, 0, -1, features))
    longer = build.node("Pad", flat, _joined(build, 0, count), "", _numbers(build, 2))
    lines = _shaped(build, longer, 0, 0, count, -1, features)
    return build.node("Slice", lines, _numbers(build, 0), places, _numbers(build, 3))


def _turned(build: Builder, grids: Iterable[str]) -> list[str]:
    """Turn grids `[batch, height, patches, …]` so that each network begins at its corner, or turn them back."""
    right_down, right_up, left_down, left_up = grids
    low, high = (
        build.node("ReverseSequence", grid, build.steps.lengths, batch_axis=0, time_axis=1)
        for grid in (right_up, left_up)
    )
    end, back = build.constant("before the first", np.array([np.iinfo(np.int64).min])), _numbers(build, -1)
    flipped = [build.node("Slice", grid, back, end, _numbers(build, 2), back) for grid in (left_down, high)]
    return [right_down, low, *flipped]


def _shaped(build: Builder, xs: str, *sizes: int | str) -> str:
    return build.node("Reshape", xs, _joined(build, *sizes))


def _joined(build: Builder, *sizes: int | str) -> str:
    parts = [size if isinstance(size, str) else _numbers(build, size) for size in sizes]
    return build.node("Concat", *parts, axis=0)


def _numbers(build: Builder, *numbers: int) -> str:
    return build.constant(f"numbers.{'.'.join(map(str, numbers))}", np.array(numbers, np.int64))


def _values(names: Iterable[str], features: int) -> list[ValueInfoProto]:
    axes: list[str | int] = [NETWORKS, "batch", "patches", features]
    return [helper.make_tensor_value_info(name, TensorProto.FLOAT, axes) for name in names]


def _array(parameter: Tensor) -> np.ndarray:
    return np.asarray(parameter.detach().cpu())
