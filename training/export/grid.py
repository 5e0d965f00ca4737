"""Four networks over a grid as nodes: its columns as so many sequences, and then its rows."""

import numpy as np

from training.architectures.bidirectional import Bidirectional
from training.architectures.grid import Grid
from training.export.builder import Builder, Steps
from training.export.stack import LayerNodes
from training.export.valid import write_valid


def grid_nodes(build: Builder, cell: Grid, xs: str, at: str, nodes: LayerNodes) -> str:
    """Write `[batch, height, width]` to `[batch, height, outputs]`, whatever height and width are."""
    patches = patches_of(build, xs, cell.patch)
    rows, height, width = (build.node("Shape", patches, start=axis, end=axis + 1) for axis in range(3))
    columns = build.node("Transpose", patches, perm=[0, 2, 1, 3])
    heights = build.node("Unsqueeze", build.steps.lengths, build.constant("axis.1", np.array([1], np.int64)))
    v = _read(build, cell.vertical, columns, (rows, width, height), heights, f"{at}vertical.", nodes)
    lines = build.node("Transpose", v, perm=[0, 2, 1, 3])
    field = _read(build, cell.horizontal, lines, (rows, height, width), width, f"{at}horizontal.", nodes)
    return row_answers(build, field)


def patches_of(build: Builder, xs: str, patch: int) -> str:
    """Write `[batch, height, width]` to `[batch, height, patches, patch]`, zeros after the width's end."""
    size, second = (build.constant(f"{name}", np.array([n], np.int64)) for name, n in (("patch", patch), ("axis.2", 2)))
    missing = build.node("Mod", build.node("Neg", build.node("Shape", xs, start=2, end=3)), size)
    before = build.constant("no padding", np.zeros(1, np.int64))
    padded = build.node("Pad", xs, build.node("Concat", before, missing, axis=0), "", second)
    return build.node("Reshape", padded, build.constant("into patches", np.array([0, 0, -1, patch], np.int64)))


def row_answers(build: Builder, field: str) -> str:
    """Write what each network puts out at its end of a row, `[batch, height, patches, …]` to `[batch, height, …]`."""
    onward, back = build.nodes("Split", field, outputs=2, axis=-1, num_outputs=2)
    first, last = (build.constant(f"place.{place}", np.array([place], np.int64)) for place in (0, -1))
    ends = build.node("Gather", onward, last, axis=2), build.node("Gather", back, first, axis=2)
    together = build.node("Concat", *ends, axis=-1)
    return build.node("Squeeze", together, build.constant("axis.2", np.array([2], np.int64)))


def _read(
    build: Builder,
    cell: Bidirectional,
    xs: str,
    sizes: tuple[str, str, str],
    lengths: str,
    at: str,
    nodes: LayerNodes,
) -> str:
    """Write lines read each for itself, `[batch, lines, time, …]`, of lengths that are one for each or spread to it."""
    rows, lines, time = sizes
    any_number = build.constant("any", np.array([-1], np.int64))

    def features(count: int) -> str:
        return build.constant(f"features.{count}", np.array([count], np.int64))

    steps = Steps(f"{at}x", f"{at}lengths", f"{at}valid")
    flat = build.node("Concat", any_number, time, features(cell.input_size), axis=0)
    build.node("Reshape", xs, flat, output=steps.of)
    each = build.node("Expand", lengths, build.node("Concat", rows, lines, axis=0))
    build.node("Reshape", each, any_number, output=steps.lengths)
    with build.over(steps):
        write_valid(build)
        ys = nodes(cell, steps.of, at)
    return build.node("Reshape", ys, build.node("Concat", rows, lines, time, features(cell.output_size), axis=0))
