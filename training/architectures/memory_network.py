r"""A memory of sentences, which is read several times for the answer to a question.

    m_i = e_0(x_i) + T_0(a_i)                      e_k(x) = sum_j l_j * E_k x_{i,j}, of the sentence's words
    p_i = softmax_i(u' m_i)
    o = sum_i p_i (e_1(x_i) + T_1(a_i))
    u <- u + o   (adjacent)      u <- H u + o   (layer)

u begins as e_0 of the question; a_i is how many sentences came after x_i. Hop k reads with E_k for m and with E_{k+1}
for what is put out (adjacent), or every hop with the same two (layer). A number for every word is put out last: E_K u,
or W u by layer. l_j is 1, or by position 1 + 4 (d - (D + 1)/2)(j - (J + 1)/2) / DJ for the d-th of D numbers of the
j-th of J words, J being the most that a sentence may have: about twice what the paper has, so that it is 1 on average.

A step reads a sentence as a question to the memory before it, and then keeps it there. Weston, Chopra and Bordes,
"Memory networks", 2014; Sukhbaatar, Szlam, Weston and Fergus, "End-to-end memory networks", 2015, equations 1 to 4,
section 4.1. Deep Learning, section 10.12.
"""

from typing import Literal, final

import torch
from torch import Tensor, nn
from typing_extensions import override

from training.architectures.attention import LOWEST, products
from training.cell import Cell, State
from training.options import Count, NotNegative, Share

DEVIATION = 0.1


@final
class MemoryNetwork(Cell):
    """States: `sentences [batch, slots, words]`, the newest last; `count [batch, 1]`, how many there are.

    Args:
        words: of a sentence at most; 0 stands for no word.
        size: of every vector.
        symbols: how many words there are, 0 among them.
        hops: how often the memory is read.
        slots: sentences that are kept.
        tying: which hops share what.
        positions: whether the order of a sentence's words counts.
        linear_start: updates in which attention is no softmax, which lets a gradient through from the beginning; in
            training (section 4.2).
        linear_until: whether that ends after so many updates, or before, as soon as a validation gains nothing.
        noise: share of empty sentences that are thought between others in training, so that no time is learnt by heart.
    """

    def __init__(
        self,
        words: int,
        size: int,
        *,
        symbols: Count = 8,
        hops: Count = 3,
        slots: Count = 50,
        tying: Literal["adjacent", "layer"] = "adjacent",
        positions: bool = True,
        noise: Share = 0.0,
        linear_start: NotNegative = 0,
        linear_until: Literal["count", "stalled"] = "count",
    ) -> None:
        super().__init__()
        self.input_size, self.output_size, self.symbols = words, symbols, symbols
        self.size, self.hops, self.slots = size, hops, slots
        self.positions, self.noise = positions, noise
        tables = hops + 1 if tying == "adjacent" else 2
        self.E = nn.Parameter(DEVIATION * torch.randn(tables, symbols, size))
        self.T = nn.Parameter(DEVIATION * torch.randn(tables, slots, size))
        self.H = nn.Parameter(DEVIATION * torch.randn(size, size)) if tying == "layer" else None
        self.W = nn.Parameter(DEVIATION * torch.randn(symbols, size)) if tying == "layer" else None
        self.below = {"sentences": symbols, "count": slots + 1}
        self.linear_start = linear_start
        self.linear_until = linear_until
        self.linear = False

    @override
    def at(self, update: int, *, stalled: bool) -> None:
        self.linear = update < self.linear_start and not (stalled and self.linear_until == "stalled")

    @override
    def init_state(self, batch_size: int) -> State:
        device = self.E.device
        sentences = torch.zeros(batch_size, self.slots, self.input_size, dtype=torch.int64, device=device)
        return {"sentences": sentences, "count": torch.zeros(batch_size, 1, dtype=torch.int64, device=device)}

    @override
    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        sentences, count = state["sentences"], state["count"]
        there = torch.arange(self.slots, device=x.device) >= self.slots - count
        ages = torch.arange(self.slots - 1, -1, -1, device=x.device)
        u = self._encoded(x[:, None], 0)
        for hop in range(self.hops):
            key, value = self._tables(hop)
            m = self._encoded(sentences, key) + self.T[key][ages]
            c = self._encoded(sentences, value) + self.T[value][ages]
            u = self._next(u, self._read(products(u, m), c, there))
        kept = torch.cat([sentences[:, 1:], x[:, None]], 1)
        return self._words(u)[:, 0], {"sentences": kept, "count": (count + 1).clamp(max=self.slots)}

    @override
    def scan(self, xs: Tensor, state: State, lengths: Tensor | None = None) -> tuple[Tensor, State]:
        ys, after, _ = self.scored_scan(xs, state, lengths)
        return ys, after

    def scored_scan(
        self, xs: Tensor, state: State, lengths: Tensor | None = None
    ) -> tuple[Tensor, State, list[Tensor]]:
        """Scan, and give each hop's scores too, LOWEST where nothing is to be read.

        A score `[batch, time, slots + time]` is of the slots first, then of the sentences of `xs`.
        """
        rows, time = xs.shape[:2]
        joined = torch.cat([state["sentences"], xs], 1)
        places = torch.arange(self.slots + time, device=xs.device)
        age = self.slots + torch.arange(time, device=xs.device)[:, None] - 1 - places
        seen = (age >= 0) & (age < self.slots) & (places >= self.slots - state["count"])[:, None]
        ages = self._told_ages(age.clamp(0, self.slots - 1).expand(rows, -1, -1))
        u, every = self._encoded(xs, 0), []
        for hop in range(self.hops):
            key, value = self._tables(hop)
            scores = u @ self._encoded(joined, key).transpose(1, 2) + (u @ self.T[key].T).gather(2, ages)
            every.append(scores.masked_fill(~seen, LOWEST))
            p = self._shares(scores, seen)
            by_age = torch.zeros_like(u[..., :1]).expand(-1, -1, self.slots).scatter_add(2, ages, p)
            u = self._next(u, p @ self._encoded(joined, value) + by_age @ self.T[value])
        ys = self._words(u)
        ends = torch.full((rows,), time, device=xs.device) if lengths is None else lengths
        if lengths is not None:
            ys = torch.where((torch.arange(time, device=xs.device) < lengths[:, None])[..., None], ys, 0.0)
        last = ends[:, None] + torch.arange(self.slots, device=xs.device)
        kept = joined.gather(1, last[..., None].expand(-1, -1, self.input_size))
        return ys, {"sentences": kept, "count": (state["count"] + ends[:, None]).clamp(max=self.slots)}, every

    def looks(self, xs: Tensor, state: State) -> list[Tensor]:
        """Give what each hop reads of the memory, `[batch, slots]`, for a question `[batch, words]`."""
        sentences = state["sentences"]
        there = torch.arange(self.slots, device=xs.device) >= self.slots - state["count"]
        ages = torch.arange(self.slots - 1, -1, -1, device=xs.device)
        u, shares = self._encoded(xs[:, None], 0), []
        for hop in range(self.hops):
            key, value = self._tables(hop)
            p = self._shares(u @ (self._encoded(sentences, key) + self.T[key][ages]).transpose(1, 2), there[:, None])
            u = self._next(u, p @ (self._encoded(sentences, value) + self.T[value][ages]))
            shares.append(p[:, 0])
        return shares

    def _tables(self, hop: int) -> tuple[int, int]:
        return (hop, hop + 1) if self.H is None else (0, 1)

    def _next(self, u: Tensor, o: Tensor) -> Tensor:
        return u + o if self.H is None else u @ self.H.T + o

    def _words(self, u: Tensor) -> Tensor:
        words = self.E[-1] if self.W is None else self.W
        return u @ words.T

    def _encoded(self, sentences: Tensor, table: int) -> Tensor:
        """Give the vectors of sentences, `[batch, n, words]` to `[batch, n, size]`; a sentence of no word is zero.

        The sums over words are products of two rows, since those of one have another order.
        """
        shape, words = sentences.shape, self.input_size
        flat = sentences.reshape(-1, words)
        there = (flat != 0).to(self.E.dtype)
        place = torch.arange(1, words + 1, device=flat.device, dtype=self.E.dtype)
        off_centre = (place - (words + 1) / 2) / words
        plain, placed = torch.stack([there, off_centre * there], 1).bmm(self.E[table][flat]).unbind(1)
        if not self.positions:
            return plain.reshape(*shape[:-1], self.size)
        d = torch.arange(1, self.size + 1, device=flat.device, dtype=self.E.dtype)
        return (plain + 4 * (d - (self.size + 1) / 2) / self.size * placed).reshape(*shape[:-1], self.size)

    def _shares(self, scores: Tensor, seen: Tensor) -> Tensor:
        """Give how much of each sentence is read, zeros where there is none."""
        if self.training and self.linear:
            return scores.masked_fill(~seen, 0.0)
        return scores.masked_fill(~seen, LOWEST).softmax(-1) * seen

    def _read(self, scores: Tensor, c: Tensor, there: Tensor) -> Tensor:
        """Read `c [batch, slots, size]` by `scores [batch, 1, slots]`, summed so that no batch changes a bit."""
        if self.training:
            return self._shares(scores, there[:, None]) @ c
        scores = torch.where(there[:, None], scores, LOWEST)
        weights = (scores - scores.amax(-1, keepdim=True)).exp() * there[:, None]
        read = torch.cat([weights, weights], 1).bmm(torch.cat([c, torch.ones_like(c[..., :1])], -1))[:, :1]
        return read[..., :-1] / (read[..., -1:] + (~there[:, -1:, None]).to(read.dtype))

    def _told_ages(self, ages: Tensor) -> Tensor:
        """Let empty sentences lie between others, in training."""
        if not (self.training and self.noise):
            return ages
        empty = (torch.rand(ages.shape[0], ages.shape[2], device=ages.device) < self.noise).long().cumsum(1)
        later = empty[:, -1:, None] - empty[:, None]
        return (ages + later).clamp(max=self.slots - 1)
