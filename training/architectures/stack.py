r"""Layers of cells, each of which reads what the one below puts out.

    y^0_t = x_t
    y^l_t = norm(cell_l(drop(y^{l-1}_t)))                           plain
    y^l_t = norm(cell_l(drop(y^{l-1}_t))) + y^{l-1}_t               residual, where sizes are equal
    y^l_t = norm(cell_l(drop([x_t, y^1_t, ..., y^{l-1}_t])))        dense; all y are put out

norm is layer normalisation, or nothing; drop acts in training alone, anew at each step, or, variational, alike at all
steps of a sequence. Deep Learning, section 10.5, figure 10.13 a; Graves, "Generating sequences with recurrent
neural networks", 2013, for skips to and from all layers; He et al., "Deep residual learning", 2016; Ba, Kiros and
Hinton, "Layer normalization", 2016; Gal and Ghahramani, "A theoretically grounded application of dropout in recurrent
neural networks", 2016.
"""

from collections.abc import Callable, Sequence
from typing import Literal, final

import torch
from torch import Tensor, nn
from torch.nn import functional
from typing_extensions import override

from training.cell import Cell, State

Skip = Literal["none", "residual", "dense"]
# A layer, its inputs and its state, to its outputs and its next state.
Run = Callable[[Cell, Tensor, State], tuple[Tensor, State]]


@final
class Stack(Cell):
    """A cell of cells; the states of layer 0 are `0.h` and so on. One that reads whole sequences makes all do so.

    Args:
        cells: from the bottom up; in a dense stack each has as many inputs as all before it put out, and the first.
        skip: what goes around layers.
        dropout: share of each layer's inputs dropped in training, but not of the first's.
        variational: whether what is dropped is so for a whole sequence.
        normalise: whether the outputs of each layer are normalised.
    """

    def __init__(
        self,
        cells: Sequence[Cell],
        *,
        skip: Skip = "none",
        dropout: float = 0.0,
        variational: bool = False,
        normalise: bool = False,
    ) -> None:
        super().__init__()
        self.input_size = cells[0].input_size
        self.output_size = sum(cell.output_size for cell in cells) if skip == "dense" else cells[-1].output_size
        self.cells = nn.ModuleList(cells)
        self.norms = nn.ModuleList(nn.LayerNorm(cell.output_size) for cell in cells) if normalise else None
        self.skip = skip
        self.dropout = dropout
        self.variational = variational
        self.causal = all(cell.causal for cell in cells)
        self.delay = sum(cell.delay for cell in cells)
        self.across = cells[0].across
        self.answers = cells[-1].answers
        if any(cell.across for cell in cells[1:]):
            raise ValueError("a layer that reads grids can only be the first: what it puts out is none")

    @property
    def layers(self) -> list[Cell]:
        """The cells, from the bottom up."""
        return [cell for cell in self.cells if isinstance(cell, Cell)]

    @override
    def init_state(self, batch_size: int) -> State:
        if not self.causal:
            return {}
        states = enumerate(cell.init_state(batch_size) for cell in self.layers)
        return {f"{at}.{name}": tensor for at, state in states for name, tensor in state.items()}

    @override
    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        return self._through(x, state, lambda cell, read, own: cell.step(read, own))

    @override
    def scan(self, xs: Tensor, state: State, lengths: Tensor | None = None) -> tuple[Tensor, State]:
        def scanned(cell: Cell, read: Tensor, own: State) -> tuple[Tensor, State]:
            return cell.scan(read, own if self.causal else cell.init_state(len(read)), lengths)

        ys, next_state = self._through(xs, state, scanned)
        if lengths is not None:
            # What goes around a layer, and a norm's bias, would show in the padding.
            valid = torch.arange(xs.shape[1], device=xs.device) < lengths[:, None]
            ys = torch.where(valid[..., None], ys, 0.0)
        return ys, next_state

    def goes_around(self, at: int) -> bool:
        """Whether a residual connection goes around a layer, whose input is then as large as its output."""
        layer = self.layers[at]
        return self.skip == "residual" and layer.input_size == layer.output_size

    def _through(self, x: Tensor, state: State, run: Run) -> tuple[Tensor, State]:
        ys = [x]
        next_state: State = {}
        for at, cell in enumerate(self.layers):
            read = torch.cat(ys, -1) if self.skip == "dense" else ys[-1]
            prefix = f"{at}."
            own = {name.removeprefix(prefix): tensor for name, tensor in state.items() if name.startswith(prefix)}
            y, after = run(cell, self._dropped(read) if at else read, own)
            y = y if self.norms is None else self.norms[at](y)
            ys.append(y + ys[-1] if self.goes_around(at) else y)
            next_state |= {prefix + name: tensor for name, tensor in after.items()}
        return torch.cat(ys[1:], -1) if self.skip == "dense" else ys[-1], next_state if self.causal else {}

    def _dropped(self, y: Tensor) -> Tensor:
        if not self.variational:
            return functional.dropout(y, self.dropout, self.training)
        # One mask for all steps of a scan, `[batch, 1, features]`.
        return y * functional.dropout(torch.ones_like(y if y.dim() == 2 else y[:, :1]), self.dropout, self.training)
