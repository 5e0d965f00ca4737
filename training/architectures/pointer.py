r"""A pointer network: what is written is places of the source, so that there are as many to choose from as it has.

    a_1 .. a_S = encoder(source)                                            annotations
    s_0 = tanh(B [a_1, a_S]);  s_t = decoder(s_{t-1}, a_{x_t})              x_t is the last place pointed to
    e_{t,j} = v' tanh(W s_t + U a_j);  o_t = [e_{t,1} .. e_{t,S}, e_{t,end}]

The end is one place more, with an annotation of its own, which is also what is read first. Vinyals, Fortunato and
Jaitly, "Pointer networks", 2015, equations 3 and 4; Vinyals, Bengio and Kudlur, "Order matters", 2016, for sorting.
Deep Learning, section 10.12, whose attention over a memory it is.
"""

from typing import final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from typing_extensions import override

from models.tensors import Array
from training.architectures.attention import Additive
from training.architectures.encoder_decoder import Bridge, both_ends, encoded, inside, outside
from training.architectures.weights import uniform
from training.cell import Cell, Sourced, State, some_lengths

# The logit of a place that the source has not; the same number in single and in double precision.
NOWHERE = -(2.0**100)


@final
class Pointer(Sourced):
    """States: `decoder.*`; and, which no step changes, `annotations` and `keys [batch, source, …]`, `source_length`.

    Args:
        embedding: of the source's symbols.
        encoder: reads them, causal or whole.
        decoder: has the features of an annotation.
        symbols: places that there may be, and the end, which is the last of them.
    """

    def __init__(self, embedding: nn.Embedding, encoder: Cell, decoder: Cell, *, symbols: int) -> None:
        super().__init__()
        self.embedding, self.encoder, self.decoder = embedding, encoder, decoder
        self.input_size, self.output_size, self.symbols = 1, symbols, symbols
        self.source_symbols = embedding.num_embeddings
        self.longest = self.end = symbols - 1
        self.score = Additive(decoder.output_size, encoder.output_size)
        self.bridge = Bridge(2 * encoder.output_size, decoder)
        self.E = uniform(1, encoder.output_size, units=encoder.output_size)
        self.free = {"annotations": "source", "keys": "source"}
        self.constant = frozenset({"annotations", "keys", "source_length"})
        self.refuses = f"a source has at most {self.longest} symbols, and a step is one of its places, or {self.end}"

    @override
    def encode(self, source: Tensor, lengths: Tensor) -> Tensor:
        return encoded(self.embedding, self.encoder, source, lengths)

    @override
    def begin(self, annotations: Tensor, lengths: Tensor) -> State:
        first = self.bridge(both_ends(annotations, lengths), self.decoder)
        keys = {"annotations": annotations, "keys": self.score.keys(annotations)}
        return outside(first) | keys | {"source_length": lengths}

    @override
    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        annotations, lengths = state["annotations"], state["source_length"][:, None]
        at = torch.minimum(x.clamp(min=0), lengths - 1)
        pointed = annotations.gather(1, at[..., None].expand(-1, -1, annotations.shape[2]))[:, 0]
        s, after = self.decoder.step(torch.where(x == self.end, self.E, pointed), inside(state))
        keys = torch.cat([state["keys"], self.score.keys(self.E).expand(x.shape[0], 1, -1)], 1)
        scores = self.score(s[:, None], keys)[:, 0]
        places = torch.arange(self.longest, device=x.device)
        reached = scores.gather(1, torch.minimum(places, lengths - 1))
        y = torch.cat([torch.where(places < lengths, reached, NOWHERE), scores[:, -1:]], 1)
        fits = ((x == self.end) | ((x >= 0) & (x < lengths))) & (lengths <= self.longest)
        return torch.where(fits, y, torch.nan), state | outside(after)

    def looks(self, x: Tensor, state: State) -> Tensor:
        """Give the probability with which a step points to each place of the source, `[batch, source]`.

        What a row lacks to 1 is the probability of the end.
        """
        y, _ = self.step(x, state)
        probabilities = y.softmax(-1)
        return probabilities[:, : state["annotations"].shape[1]]

    @override
    def draw_inputs(
        self, rows: int, time: int, state: State, random: np.random.Generator
    ) -> tuple[Array, NDArray[np.int64]]:
        lengths = state["source_length"].numpy()[:, None]
        drawn = random.integers(0, lengths + 1, (rows, time))
        return np.where(drawn == lengths, self.end, drawn), some_lengths(rows, time, random)
