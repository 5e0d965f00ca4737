"""One step of a cell as ONNX: traced from its own Python by torch's exporter, which knows no cell."""

import copy
import logging
import warnings
from collections.abc import Sequence
from typing import Any, final

import onnx
import torch
from onnx import compose
from torch import Tensor, nn
from typing_extensions import override

from training.cell import Cell
from training.export.builder import OPSET

# Any number but 0 and 1, which the exporter takes for constants.
ROWS = 3
_LARGEST = 2**31 - 1


@final
class Traces:
    """Traces each cell once, though several graphs are made of it."""

    def __init__(self) -> None:
        self._steps: dict[Cell, onnx.GraphProto] = {}

    def step(self, cell: Cell, prefix: str) -> onnx.GraphProto:
        """Give `x [batch, features], *states -> y, *next_states, *told`, weights as initializers, names with a prefix.

        States that no step changes come in, and do not come out.
        """
        if cell not in self._steps:
            self._steps[cell] = _trace(cell)
        return compose.add_prefix_graph(self._steps[cell], prefix)


@final
class _Step(nn.Module):
    """A cell's step with its states in a fixed order, as the exporter needs it."""

    def __init__(self, cell: Cell, names: Sequence[str], changing: Sequence[str]) -> None:
        super().__init__()
        self.cell = cell
        self.names = names
        self.changing = changing

    @override
    def forward(self, x: Tensor, states: list[Tensor]) -> list[Tensor]:
        y, next_state, told = self.cell.step_told(x, dict(zip(self.names, states, strict=True)))
        return [y, *(next_state[name] for name in self.changing), *(told[name] for name in self.cell.tells)]


def _trace(cell: Cell) -> onnx.GraphProto:
    # As it answers, not as it trains; and the caller's cell stays what it is.
    cell = copy.deepcopy(cell).cpu().float().eval()
    state = cell.init_state(ROWS)
    x = torch.zeros(ROWS, cell.input_size, dtype=torch.int64 if cell.symbols else torch.float32)
    states = [tensor.detach().clone() for tensor in state.values()]
    changing = [name for name in state if name not in cell.constant]
    told = [f"told.{name}" for name in cell.tells]
    names = ["x", *state], ["y", *(f"next.{name}" for name in changing), *told]
    states = [_longer(tensor) if name in cell.free else tensor for name, tensor in zip(state, states, strict=True)]
    free = [cell.free.get(name) for name in state]
    return trace(_Step(cell, list(state), changing), (x, states), *names, free=free)


def _longer(tensor: Tensor) -> Tensor:
    """Give more than one place on a free axis, which the exporter would take for a constant."""
    return tensor.repeat(1, ROWS + 1, *[1] * (tensor.dim() - 2))


def trace(
    module: nn.Module,
    inputs: tuple[Any, ...],
    into: list[str],
    out: list[str],
    *,
    free: Sequence[str | None] = (),
) -> onnx.GraphProto:
    """Trace a module without time.

    Args:
        module: what is traced, as it answers.
        inputs: tensors `[ROWS, …]`, or lists of them, whose first axis becomes the batch.
        into: the names of what comes in.
        out: the names of what comes out.
        free: of the tensors of a list, the name of the second axis where it is free.
    """
    from onnxscript import optimizer  # noqa: PLC0415  # two seconds that only an export shall cost

    batch = {0: torch.export.Dim("batch")}
    axes = {name: torch.export.Dim(name, min=2) for name in free if name}
    of_list = [batch if name is None else batch | {1: axes[name]} for name in free]
    logging.getLogger("torch.onnx._internal.exporter._registration").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        # The exporter warns of torch's own inner workings.
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            module.eval(),
            inputs,
            dynamo=True,
            optimize=False,
            opset_version=OPSET,
            dynamic_shapes=tuple(
                (of_list or [batch for _ in one]) if isinstance(one, list) else batch for one in inputs
            ),
            input_names=into,
            output_names=out,
            verbose=False,
        )
    assert program is not None
    # Without limits, so that what depends on weights alone is a constant: only constants are packed once, at load.
    model = optimizer.optimize(program.model_proto, input_size_limit=_LARGEST, output_size_limit=_LARGEST)
    assert not model.functions
    return _bare(model.graph)


def _bare(graph: onnx.GraphProto) -> onnx.GraphProto:
    """Take away what the exporter notes beside the graph, such as where on this machine the code lies."""
    for part in (graph, *graph.node, *graph.input, *graph.output, *graph.initializer):
        part.ClearField("doc_string")
        part.ClearField("metadata_props")
    graph.ClearField("value_info")
    return graph
