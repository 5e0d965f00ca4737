"""How often gates are shut or open: a gate near 0 or 1 passes no gradient to what sets it."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, final

import msgspec
import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from typing_extensions import override

from training.cell import Cell, State
from training.diagnosis.walk import Walk

SHUT, OPEN = 0.1, 0.9


class Saturation(msgspec.Struct, frozen=True):
    """The shares of a gate's values that are below 0.1 and above 0.9."""

    shut: float
    open: float


@torch.no_grad()
def gates(walk: Walk) -> dict[str, Saturation]:
    """Measure every gate that the cell, or a cell inside it, names; none for a cell without."""
    named = {path: cell for path, cell in walk.model.cell.named_modules() if isinstance(cell, Cell) and cell.gates}
    heard: dict[str, list[Tensor]] = {}
    with ExitStack() as listening:
        for path, cell in named.items():
            listening.enter_context(_heard(cell, f"{path}." if path else "", heard))
        state = walk.begin
        for x in walk.xs.unbind(1) if named else ():
            state = walk.model.cell.step(x, state)[1]
    valid = walk.valid()
    values = {name: torch.stack(steps, 1)[valid] for name, steps in heard.items()}
    return {
        name: Saturation(float((one < SHUT).double().mean()), float((one > OPEN).double().mean()))
        for name, one in values.items()
    }


@final
class _Sigmoids(TorchFunctionMode):
    """Notes every sigmoid that is taken."""

    def __init__(self) -> None:
        super().__init__()
        self.taken: list[Tensor] = []

    @override
    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        found = func(*args, **(kwargs or {}))
        if func in (torch.sigmoid, Tensor.sigmoid):
            self.taken.append(found)
        return found


@contextmanager
def _heard(cell: Cell, prefix: str, heard: dict[str, list[Tensor]]) -> Iterator[None]:
    """Let a cell's step, called by whoever, add the values of its gates to those heard, `[rows, units]` a step."""
    step = cell.step

    def listened(x: Tensor, state: State) -> tuple[Tensor, State]:
        with _Sigmoids() as sigmoids:
            after = step(x, state)
        values = torch.cat(sigmoids.taken, -1).chunk(len(cell.gates), -1)
        for name, value in zip(cell.gates, values, strict=True):
            heard.setdefault(prefix + name, []).append(value)
        return after

    # In the instance, before the class's own.
    vars(cell)["step"] = listened
    try:
        yield
    finally:
        del vars(cell)["step"]
