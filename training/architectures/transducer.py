r"""Transducers: labels from a longer sequence, of which nobody says when each is due.

    f_t = A e_t                                                 e_t: what the layers below put out
    g_0 = prediction(0), g_u = prediction(E k_u)                k_u: the u-th label
    z_{t,u} = O tanh(f_t + B g_u + a) + o                       logits of all labels and, last, of the blank

At a step labels are put out as long as one is more probable than the blank, `most` at most, and each moves the
prediction on; the blank leaves the rest for the steps to come. A step answers with the logits of each of its `most`
turns; after the blank they are the same again.

Graves, "Sequence transduction with recurrent neural networks", 2012, section 2; Graves, Mohamed and Hinton, "Speech
recognition with deep recurrent neural networks", 2013, for the joint network's tanh. Deep Learning, section 10.4, has
the problem: sequences of unequal length.
"""

from typing import final

import torch
from torch import Tensor, nn
from typing_extensions import override

from training.cell import Cell, State, where_rows


@final
class Transducer(Cell):
    """States: `g`, what the prediction put out after the last label, and the prediction's own, `prediction.*`.

    Args:
        input_size: features of what the layers below put out.
        hidden_size: units of the joint network, and features of a label.
        prediction: reads labels, of `hidden_size` features.
        classes: the labels, and last the blank.
        most: labels that a step may put out.
    """

    def __init__(self, input_size: int, hidden_size: int, *, prediction: Cell, classes: int, most: int) -> None:
        super().__init__()
        if not prediction.causal:
            raise ValueError("the prediction network reads labels as they come: it cannot need the whole sequence")
        self.input_size, self.output_size = input_size, most * classes
        self.blank, self.most = classes - 1, most
        self.answers = most
        self.prediction = prediction
        self.E = nn.Embedding(self.blank, hidden_size)
        self.A = nn.Linear(input_size, hidden_size)
        self.B = nn.Linear(prediction.output_size, hidden_size, bias=False)
        self.O = nn.Linear(hidden_size, classes)

    @override
    def init_state(self, batch_size: int) -> State:
        nothing = self.E.weight.new_zeros(1, self.prediction.input_size)
        g, after = self.prediction.step(nothing, self.prediction.init_state(1))
        state = {"g": g} | {f"prediction.{name}": tensor for name, tensor in after.items()}
        return {name: tensor.expand(batch_size, *tensor.shape[1:]).clone() for name, tensor in state.items()}

    @override
    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        f, g, turns = self.A(x), state["g"], []
        own = {name.removeprefix("prediction."): tensor for name, tensor in state.items() if name != "g"}
        for _ in range(self.most):
            z = self.O((f + self.B(g)).tanh())
            turns.append(z)
            label = z.argmax(-1)
            emits = label != self.blank
            y, after = self.prediction.step(self.E(label.clamp(max=self.blank - 1)), own)
            g = where_rows(emits, y, g)
            own = {name: where_rows(emits, new, own[name]) for name, new in after.items()}
        return torch.cat(turns, -1), {"g": g} | {f"prediction.{name}": tensor for name, tensor in own.items()}

    def lattice(self, es: Tensor, labels: Tensor) -> Tensor:
        """Give the logits at every step after every count of labels.

        Args:
            es: what the layers below put out, `[batch, time, input_size]`.
            labels: INT64 `[batch, most labels]`; padding may be any label.

        Returns:
            Logits `[batch, time, most labels + 1, classes]`.
        """
        state = self.init_state(len(es))
        own = {name.removeprefix("prediction."): tensor for name, tensor in state.items() if name != "g"}
        gs = state["g"][:, None]
        if labels.shape[1]:
            gs = torch.cat([gs, self.prediction.scan(self.E(labels), own)[0]], 1)
        joint: Tensor = self.O((self.A(es)[:, :, None] + self.B(gs)[:, None]).tanh())
        return joint


def labels_of(answers: Tensor, lengths: Tensor, *, turns: int) -> list[list[tuple[int, int]]]:
    """Read the labels of each row, and the step that put each out, from answers `[batch, time, turns * classes]`."""
    found = answers.reshape(*answers.shape[:2], turns, -1)
    blank = found.shape[-1] - 1
    rows = zip(found.argmax(-1).tolist(), lengths.tolist(), strict=True)
    return [
        [(label, step) for step, turn in enumerate(steps[:length]) for label in turn if label != blank]
        for steps, length in rows
    ]
