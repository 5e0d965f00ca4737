r"""Two cells over one sequence, the second of which reads it from its end.

    h_t = f(h_{t-1}, x_t)                   from t = 1
    g_t = f'(g_{t+1}, x_t)                  from t = the row's own end
    o_t = [h_t, g_t]   or   h_t + g_t

Schuster and Paliwal, "Bidirectional recurrent neural networks", 1997. Deep Learning, section 10.3, figure 10.11.

Where an answer cannot wait for the end of the sequence, the second cell reads the next k steps alone:

    g_{t,k} = f'(0, x_{t+k});   g_{t,s} = f'(g_{t,s+1}, x_{t+s}), s = k-1 ... 0;   o_{t+k} = [h_t, g_{t,0}]

so that the answer to step t comes with step t + k. Zhang et al., "Highway long short-term memory RNNs for distant
speech recognition", 2016, section 3.2, of which this is the form whose blocks are of one step.
"""

from typing import Literal, final

import torch
from torch import Tensor
from typing_extensions import override

from training.cell import Cell, State, Whole, where_rows

Merge = Literal["concat", "sum"]


@final
class Bidirectional(Whole):
    """Two cells of one size; what comes before the first step and after the last is their own first state.

    Args:
        forward_cell: reads from the beginning.
        backward_cell: reads from the end.
        merge: whether a step's two outputs are put side by side, or added.
    """

    def __init__(self, forward_cell: Cell, backward_cell: Cell, *, merge: Merge = "concat") -> None:
        super().__init__()
        self.forward_cell = forward_cell
        self.backward_cell = backward_cell
        self.merge = merge
        self.input_size = forward_cell.input_size
        self.output_size = _merged_size(forward_cell, backward_cell, merge)

    @override
    def read(self, xs: Tensor, lengths: Tensor) -> Tensor:
        rows = len(xs)
        # Neither needs lengths: a padded end comes last in both directions.
        onward, _ = self.forward_cell.scan(xs, self.forward_cell.init_state(rows))
        back, _ = self.backward_cell.scan(reverse(xs, lengths), self.backward_cell.init_state(rows))
        return _merged(onward, reverse(back, lengths), self.merge)


@final
class Lookahead(Cell):
    """The causal form: every answer is late by `context` steps, and the first ones are zeros.

    States: `forward.*`, the first cell's; `inputs [batch, context, input]`, the last ones; `seen [batch, 1]`, how many
    steps there were, up to `context`.

    Args:
        forward_cell: reads each step once it is late enough.
        backward_cell: reads the steps from the newest to the one that is answered.
        context: k.
        merge: as in the whole form.
    """

    def __init__(self, forward_cell: Cell, backward_cell: Cell, *, context: int, merge: Merge = "concat") -> None:
        super().__init__()
        self.forward_cell = forward_cell
        self.backward_cell = backward_cell
        self.merge = merge
        self.delay = context
        self.input_size = forward_cell.input_size
        self.output_size = _merged_size(forward_cell, backward_cell, merge)

    @override
    def init_state(self, batch_size: int) -> State:
        onward = self.forward_cell.init_state(batch_size)
        like = next(self.parameters())
        return {f"forward.{name}": tensor for name, tensor in onward.items()} | {
            "inputs": like.new_zeros(batch_size, self.delay, self.input_size),
            "seen": torch.zeros(batch_size, 1, dtype=torch.int64, device=like.device),
        }

    @override
    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        window, seen = torch.cat([state["inputs"], x[:, None]], 1), state["seen"]
        answers = (seen >= self.delay)[:, 0]
        before = {name: state[f"forward.{name}"] for name in self.forward_cell.init_state(1)}
        onward, after = self.forward_cell.step(window[:, 0], before)
        y = _merged(onward, self._back(window), self.merge)
        next_state = {f"forward.{name}": where_rows(answers, new, before[name]) for name, new in after.items()}
        next_state |= {"inputs": window[:, 1:], "seen": (seen + 1).clamp(max=self.delay)}
        return torch.where(answers[:, None], y, 0.0), next_state

    def _back(self, window: Tensor) -> Tensor:
        """Read `[batch, context + 1, input]` from its end, and give what is put out last."""
        state = self.backward_cell.init_state(window.shape[0])
        for place in range(self.delay, -1, -1):
            y, state = self.backward_cell.step(window[:, place], state)
        return y

    @override
    def scan(self, xs: Tensor, state: State, lengths: Tensor | None = None) -> tuple[Tensor, State]:
        rows, time = xs.shape[:2]
        first, last = (int(seen) for seen in state["seen"].clamp(max=self.delay).aminmax())
        skipped = self.delay - first
        if lengths is not None or first != last or time <= skipped:
            return super().scan(xs, state, lengths)
        joined = torch.cat([state["inputs"], xs], 1)
        before = {name: state[f"forward.{name}"] for name in self.forward_cell.init_state(1)}
        onward, after = self.forward_cell.scan(joined[:, skipped:time], before)
        # A row for each window, read from its end: [batch, windows, input, context + 1] before it is turned.
        windows = joined[:, skipped:].unfold(1, self.delay + 1, 1).flatten(0, 1).transpose(1, 2).flip(1)
        back, _ = self.backward_cell.scan(windows, self.backward_cell.init_state(len(windows)))
        ys = _merged(onward, back[:, -1].view(rows, time - skipped, -1), self.merge)
        next_state = {f"forward.{name}": new for name, new in after.items()}
        next_state |= {"inputs": joined[:, time:], "seen": torch.full_like(state["seen"], self.delay)}
        return torch.cat([ys.new_zeros(rows, skipped, self.output_size), ys], 1), next_state


def reverse(xs: Tensor, lengths: Tensor) -> Tensor:
    """Turn each row `[time, …]` around at its own length; what follows that stays where it is."""
    places = torch.arange(xs.shape[1], device=xs.device).expand(len(xs), -1)
    turned = torch.where(places < lengths[:, None], lengths[:, None] - 1 - places, places)
    return xs.gather(1, turned.view(*turned.shape, *[1] * (xs.dim() - 2)).expand_as(xs))


def _merged(onward: Tensor, back: Tensor, merge: Merge) -> Tensor:
    return torch.cat([onward, back], -1) if merge == "concat" else onward + back


def _merged_size(forward_cell: Cell, backward_cell: Cell, merge: Merge) -> int:
    sizes = forward_cell.output_size, backward_cell.output_size
    return sum(sizes) if merge == "concat" else sizes[0]
