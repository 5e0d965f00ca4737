"""Trees that are given whole, as nodes of the graph: a Scan over the trees' nodes, and then whether they were trees."""

import numpy as np

from training.architectures.tree import Tree
from training.export.builder import Builder
from training.export.scan import scan_nodes
from training.export.trace import Traces


def tree_nodes(build: Builder, cell: Tree, xs: str, at: str, traces: Traces) -> str:
    """Write `[batch, nodes, 1 + most]` to the answers of all nodes, NaN in rows that are no tree."""
    rows, time = (build.node("Shape", xs, start=axis, end=axis + 1) for axis in range(2))
    for name, tensor in cell.node.init_state(1).items():
        zero = build.constant(f"tree.{at}zero.{name}", np.zeros(1, np.asarray(tensor.detach().cpu()).dtype))
        sizes = [build.constant(f"tree.{at}size.{size}", np.array([size], np.int64)) for size in tensor.shape[2:]]
        one = build.constant(f"tree.{at}size.1", np.array([1], np.int64))
        axes = [rows, time if name in cell.node.free else one, *sizes]
        build.node("Expand", zero, build.node("Concat", *axes, axis=0), output=f"state.{at}{name}")
    ys = scan_nodes(build, cell.node, xs, at, traces)
    fine = build.node("Unsqueeze", _are_trees(build, at), build.constant("axis.2", np.array([2], np.int64)))
    return build.node("Where", fine, ys, build.constant("nan", np.array([np.nan], np.float32)))


def _are_trees(build: Builder, at: str) -> str:
    """Write which rows are trees, `[batch, 1]`: none was broken, and every node but the last is a child."""
    one = build.constant("axis.1", np.array([1], np.int64))
    none, by = build.constant("from", np.array(0, np.int64)), build.constant("by", np.array(1, np.int64))
    taken = f"next_state.{at}taken"
    count = build.node(
        "Squeeze", build.node("Shape", taken, start=1, end=2), build.constant("axis.0", np.zeros(1, np.int64))
    )
    last = build.node("Sub", build.node("Unsqueeze", build.steps.lengths, one), by)
    before = build.node("Less", build.node("Range", none, count, by), last)
    alone = build.node("And", before, build.node("Equal", taken, none))
    loose = build.node("ReduceMax", build.node("Cast", alone, to=build.INT64), one, keepdims=1)
    return build.node("Equal", build.node("Add", loose, f"next_state.{at}broken"), none)
