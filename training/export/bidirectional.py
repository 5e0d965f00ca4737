"""Both directions as nodes: each row is turned around at its own length, read, and turned back."""

from training.architectures.bidirectional import Bidirectional
from training.export.builder import Builder
from training.export.stack import LayerNodes


def bidirectional_nodes(build: Builder, cell: Bidirectional, xs: str, at: str, nodes: LayerNodes) -> str:
    """Write both cells over time and what merges them; past a row's length the outputs are for the reader to mask."""
    onward = nodes(cell.forward_cell, xs, f"{at}forward.")
    back = _turned(build, nodes(cell.backward_cell, _turned(build, xs), f"{at}backward."))
    return build.node("Concat", onward, back, axis=-1) if cell.merge == "concat" else build.node("Add", onward, back)


def _turned(build: Builder, xs: str) -> str:
    return build.node("ReverseSequence", xs, build.steps.lengths, batch_axis=0, time_axis=1)
