r"""From one sequence to another: an encoder reads the source, and a decoder writes with what it left.

    a_1 .. a_S = encoder(source)                                            annotations
    s_0 = tanh(B [a_1, a_S])
    s_t = decoder(s_{t-1}, x_t)                                             initial
    s_t = decoder(s_{t-1}, [x_t, c]),  c = tanh(C [a_1, a_S])               input: s_0 is the decoder's own; both

x_t is the sequence's own last symbol. With attention the decoder reads the annotations anew at every step:

    e_{t,j} = v' tanh(W s_{t-1} + U a_j)                                    additive, asked before the decoder's step
    e_{t,j} = s_t' U a_j                                                    general, after it; dot: without U
    e_{t,j} - 2 (j - p_t)^2 / D^2                                           local: about a place p_t that s tells
    alpha_t = softmax(e_t);  c_t = sum_j alpha_{t,j} a_j
    s_t = decoder(s_{t-1}, [x_t, c_t]);  o_t = [s_t, c_t]                   additive
    s_t = decoder(s_{t-1}, x_t);  o_t = tanh(H [s_t, c_t])                  general, dot

Deep Learning, sections 10.4 and 12.4.5.1, figure 10.12; Cho et al., "Learning phrase representations using RNN
encoder-decoder", 2014; Sutskever, Vinyals and Le, "Sequence to sequence learning with neural networks", 2014; Bahdanau,
Cho and Bengio, "Neural machine translation by jointly learning to align and translate", 2015; Luong, Pham and Manning,
"Effective approaches to attention-based neural machine translation", 2015, sections 3 and 3.1.
"""

from typing import Literal, final

import torch
from torch import Tensor, nn
from typing_extensions import override

from training.architectures.attention import Score, Window, attend, open_score
from training.cell import Cell, Sourced, State

Way = Literal["initial", "input", "both"]


@final
class EncoderDecoder(Sourced):
    """A decoder told of the source by one vector. States: `decoder.*`, and the vector `c` where each step reads it.

    Args:
        embedding: of the source's symbols.
        encoder: reads them, causal or whole.
        decoder: has the input's features, and with the ways `input` and `both` as many more as it puts out.
        input_size: features of the input.
        way: how the vector comes in.
    """

    def __init__(self, embedding: nn.Embedding, encoder: Cell, decoder: Cell, input_size: int, *, way: Way) -> None:
        super().__init__()
        self.embedding, self.encoder, self.decoder = embedding, encoder, decoder
        self.input_size, self.output_size = input_size, decoder.output_size
        self.source_symbols = embedding.num_embeddings
        self.way = way
        ends = 2 * encoder.output_size
        self.bridge = None if way == "input" else Bridge(ends, decoder)
        self.C = None if way == "initial" else nn.Linear(ends, decoder.output_size)
        self.constant = frozenset() if self.C is None else frozenset({"c"})

    @override
    def encode(self, source: Tensor, lengths: Tensor) -> Tensor:
        return encoded(self.embedding, self.encoder, source, lengths)

    @override
    def begin(self, annotations: Tensor, lengths: Tensor) -> State:
        ends = both_ends(annotations, lengths)
        rows = annotations.shape[0]
        first = first_state(self.decoder, rows) if self.bridge is None else self.bridge(ends, self.decoder)
        return outside(first) if self.C is None else outside(first) | {"c": self.C(ends).tanh()}

    @override
    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        read = x if self.C is None else torch.cat([x, state["c"]], -1)
        y, after = self.decoder.step(read, inside(state))
        return y, state | outside(after)

    @override
    def scan(self, xs: Tensor, state: State, lengths: Tensor | None = None) -> tuple[Tensor, State]:
        read = xs
        if self.C is not None:
            read = torch.cat([xs, state["c"][:, None].expand(-1, xs.shape[1], -1)], -1)
        ys, after = self.decoder.scan(read, inside(state), lengths)
        return ys, state | outside(after)


@final
class AttentionDecoder(Sourced):
    """A decoder that reads the annotations anew at each step.

    States: `decoder.*`; with additive scores `s [batch, p]`, what the decoder put out last; and, which no step changes,
    `annotations [batch, source, …]` with a column of ones, `keys [batch, source, n]` and `source_length [batch]`.

    Args:
        embedding: of the source's symbols.
        encoder: reads them, causal or whole.
        decoder: has the input's features, and with additive scores those of an annotation besides.
        input_size: features of the input.
        score: how an annotation is weighed.
        local: how far from the place that it chooses a step reads; 0 for the whole source.
        weights: whether the model answers with the weights too, `[batch, time, source]`.
    """

    def __init__(
        self,
        embedding: nn.Embedding,
        encoder: Cell,
        decoder: Cell,
        input_size: int,
        *,
        score: Score,
        local: int = 0,
        weights: bool = False,
    ) -> None:
        super().__init__()
        self.embedding, self.encoder, self.decoder = embedding, encoder, decoder
        self.input_size = input_size
        self.source_symbols = embedding.num_embeddings
        asked, read = decoder.output_size, encoder.output_size
        self.score = open_score(score, asked, read)
        self.window = Window(asked, local) if local else None
        self.asks_first = score == "additive"
        self.output_size = asked + read if self.asks_first else asked
        self.H = None if self.asks_first else nn.Linear(asked + read, asked)
        self.bridge = Bridge(2 * read, decoder)
        self.free = {"annotations": "source", "keys": "source"}
        self.constant = frozenset({"annotations", "keys", "source_length"})
        self.tells = {"weights": "source"} if weights else {}

    @override
    def encode(self, source: Tensor, lengths: Tensor) -> Tensor:
        return encoded(self.embedding, self.encoder, source, lengths)

    @override
    def begin(self, annotations: Tensor, lengths: Tensor) -> State:
        first = self.bridge(both_ends(annotations, lengths), self.decoder)
        ones = torch.ones_like(annotations[..., :1])
        nothing = annotations.new_zeros(annotations.shape[0], self.decoder.output_size)
        state = outside(first) | ({"s": nothing} if self.asks_first else {})
        state |= {"annotations": torch.cat([annotations, ones], -1), "keys": self.score.keys(annotations)}
        return state | {"source_length": lengths}

    @override
    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        y, next_state, _ = self.step_told(x, state)
        return y, next_state

    @override
    def step_told(self, x: Tensor, state: State) -> tuple[Tensor, State, dict[str, Tensor]]:
        if self.asks_first:
            contexts, weights = self._read(state["s"][:, None], state)
            s, after = self.decoder.step(torch.cat([x, contexts[:, 0]], -1), inside(state))
            y, next_state = torch.cat([s, contexts[:, 0]], -1), state | outside(after) | {"s": s}
        else:
            s, after = self.decoder.step(x, inside(state))
            contexts, weights = self._read(s[:, None], state)
            y, next_state = self._attended(s[:, None], contexts)[:, 0], state | outside(after)
        return y, next_state, dict.fromkeys(self.tells, weights[:, 0])

    @override
    def scan(self, xs: Tensor, state: State, lengths: Tensor | None = None) -> tuple[Tensor, State]:
        if self.asks_first or lengths is not None:
            return super().scan(xs, state, lengths)
        # What is asked after the step changes no state: all steps ask together.
        ss, after = self.decoder.scan(xs, inside(state))
        return self._attended(ss, self._read(ss, state)[0]), state | outside(after)

    def looks(self, x: Tensor, state: State) -> Tensor:
        """Give how much of each annotation a step reads, `[batch, source]`."""
        asked = state["s"] if self.asks_first else self.decoder.step(x, inside(state))[0]
        return self._read(asked[:, None], state)[1][:, 0]

    def _read(self, asked: Tensor, state: State) -> tuple[Tensor, Tensor]:
        """Give contexts and weights for what is asked, `[batch, time, p]`."""
        scores, lengths = self.score(asked, state["keys"]), state["source_length"]
        scores = scores if self.window is None else self.window(scores, asked, lengths)
        return attend(scores, state["annotations"], lengths)

    def _attended(self, ss: Tensor, contexts: Tensor) -> Tensor:
        assert self.H is not None
        attended: Tensor = self.H(torch.cat([ss, contexts], -1)).tanh()
        return attended


@final
class Bridge(nn.Module):
    """From both ends of the annotations to a decoder's first state, `tanh(B [a_1, a_S])` of those that are vectors."""

    def __init__(self, ends: int, decoder: Cell) -> None:
        super().__init__()
        self.sizes = {
            name: tensor.shape[1]
            for name, tensor in decoder.init_state(1).items()
            if tensor.is_floating_point() and tensor.dim() == 2
        }
        self.B = nn.Linear(ends, sum(self.sizes.values()))

    @override
    def forward(self, ends: Tensor, decoder: Cell) -> State:
        made = self.B(ends).tanh().split(list(self.sizes.values()), -1)
        return first_state(decoder, ends.shape[0]) | dict(zip(self.sizes, made, strict=True))


def encoded(embedding: nn.Embedding, encoder: Cell, source: Tensor, lengths: Tensor) -> Tensor:
    """Annotate a source, `[batch, source]` to `[batch, source, …]`, zeros after each row's length."""
    xs: Tensor = embedding(source)
    ys, _ = encoder.scan(xs, encoder.init_state(len(xs)), None if encoder.causal else lengths)
    within = torch.arange(source.shape[1], device=source.device) < lengths[:, None]
    annotations: Tensor = ys * within[..., None]
    return annotations


def both_ends(annotations: Tensor, lengths: Tensor) -> Tensor:
    """Give the first and the last annotation of each row side by side."""
    last = (lengths - 1)[:, None, None].expand(-1, 1, annotations.shape[-1])
    return torch.cat([annotations[:, 0], annotations.gather(1, last)[:, 0]], -1)


def first_state(cell: Cell, rows: int) -> State:
    """Give a cell's own first state for a number of rows that a tracer may not know."""
    first = cell.init_state(1).items()
    return {name: tensor.expand(rows, *tensor.shape[1:]).clone() for name, tensor in first}


def inside(state: State) -> State:
    """Give the decoder's own part of a state."""
    prefix = "decoder."
    return {name.removeprefix(prefix): tensor for name, tensor in state.items() if name.startswith(prefix)}


def outside(state: State) -> State:
    """Give a decoder's state as a part of another."""
    return {f"decoder.{name}": tensor for name, tensor in state.items()}
