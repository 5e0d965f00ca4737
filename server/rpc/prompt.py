"""The prompt of a request that generates: how it is to go on, and the chunks of the prompt and of what follows."""

import secrets
import time
from typing import final

import msgspec
import numpy as np
from xxhash import xxh3_64_intdigest

from models.manifest import Decode
from models.tensors import NUMPY
from server.codec.rows import rows_of
from server.codec.tensors import Tensors
from server.columns import constant, no_flags, no_words
from server.digest import digests
from server.errors import InvalidRequest
from server.generation import draw_length
from server.limits import Limits
from server.rpc.exchange import Exchange
from server.rpc.parts import size_of
from server.sampling import Sampling
from server.types import UNNUMBERED, Array, Chunk, Done, Lease, Scope


@final
class Prompt:
    """What a sequence is given before it writes itself.

    Attributes:
        how: to generate.
        spec: of the input that is fed back.
        decode: how an answer becomes the next input.
        most: steps at most.
        is_limited: whether that is fewer than were asked for.
        length: of the prompt itself.
        seed: the client's own; else a drawn one, the same for a counted request that comes again.
        as_text: whether it came as text, and is to be answered so.

    Raises:
        InvalidRequest: the model, or the request, is not one that can generate.
    """

    def __init__(self, exchange: Exchange, tensors: Tensors, limits: Limits) -> None:
        self._exchange = exchange
        self.how, self.decode = _checked(exchange, limits)
        self.spec = next(spec for spec in exchange.model.manifest.inputs if spec.name == self.decode.input)
        self._tensors = self._begun(tensors)
        self.most = min(self.how.max_steps, limits.max_generated_steps)
        self.is_limited = self.most < self.how.max_steps
        self.as_text = tensors.as_text

    def chunk(self, scope: Scope, client: int, done: Done) -> Chunk:
        """Make the chunk of the prompt; what follows it is of the same request."""
        exchange = self._exchange
        rows = rows_of(exchange.request.parameters, self._tensors, exchange.signature)
        self._chunk = chunk = exchange.chunk(self._tensors, rows, scope, client)
        self._counted = chunk.steps.item(0) != UNNUMBERED
        self._others = {name: of for name, of in self._tensors.inputs.items() if name != self.decode.input}
        if self._counted:
            [digest] = digests(chunk, exchange.signature)
            chunk.digests = np.array([xxh3_64_intdigest(msgspec.json.encode(self.how), digest)], np.uint64)
        else:
            chunk.digests = no_words(1)
        self.length = chunk.lengths.item(0)
        self.seed = self._seed()
        if self.decode.lengths and chunk.starts:
            self._tell_length(chunk)
        # The end comes after the last step, which nobody knows yet.
        chunk.end, chunk.done = no_flags(1), done
        return chunk

    def _seed(self) -> int:
        if self.how.seed is not None:
            return self.how.seed
        if not self._counted:
            return secrets.randbits(64)
        assert self._chunk.digests is not None
        return self._chunk.digests.item(0) ^ self._chunk.lives.item(0)

    @property
    def first(self) -> int:
        """Steps that the sequence had before the prompt, where they are counted."""
        return self._chunk.steps.item(0)

    def following(self, chunk: Chunk, values: Array, position: int, generated: int) -> Chunk:
        """Make the chunk of one step after another.

        Args:
            chunk: the one before.
            values: what is fed to it, `[rows, …]` as one step of the decoded input.
            position: steps that the sequence has had.
            generated: steps of those that the request has had after its prompt.
        """
        following = msgspec.structs.replace(
            self._single(chunk) if chunk.before is None else chunk,
            inputs={self.decode.input: values.astype(NUMPY[self.spec.dtype], copy=False)[:, None], **self._others},
            steps=np.array([position], np.int64) if self._counted else self._chunk.steps,
            before=constant(self.length + generated, len(values)),
            arrived=time.monotonic(),
            cuts=[],
        )
        self._chunk.cuts = [following]
        return following

    def _single(self, chunk: Chunk) -> Chunk:
        """Make what all chunks of one step have in common."""
        return msgspec.structs.replace(
            chunk,
            starting={},
            lengths=constant(1, 1),
            time=1,
            size=size_of(self._exchange.signature, 1),
            start=no_flags(1),
            starts=False,
            plain=not self._counted,
            deadline=float("inf"),
            timer=None,
        )

    def branching(self, chunk: Chunk, values: Array, lease: Lease, position: int, generated: int) -> Chunk:
        """Make the chunk of one step of several continuations, each in a state of its own: `values` is `[rows, …]`."""
        rows, following = len(values), self.following(chunk, values, position, generated)
        others = {name: np.repeat(array, rows, 0) for name, array in self._others.items()}
        following.inputs, following.lengths = {**following.inputs, **others}, constant(1, rows)
        following.lease, following.plain = lease, True
        following.start = following.end = no_flags(rows)
        following.steps, following.lives = constant(UNNUMBERED, rows), no_words(rows)
        following.digests = no_words(rows)
        return following

    def _tell_length(self, chunk: Chunk) -> None:
        """Generate as many symbols as the sequence is told to have; where it is told 0, that is drawn here."""
        [(name, told)] = chunk.starting.items()
        said = float(told[0, -1])
        if not (said >= 0 and said.is_integer()):
            raise InvalidRequest(f"input '{name}' ends with the length {said:g}; a whole number from 0 is expected")
        length = int(said)
        if not length:
            length, told = draw_length(self.decode, self.seed), told.copy()
            told[0, -1] = length
            chunk.starting = {name: told}
        left = length - (self.length - 1)
        if left < 1:
            raise InvalidRequest(f"the sequence is to have {length} symbols, and the prompt has {self.length - 1}")
        if left <= self.most:
            self.most, self.is_limited = left, False

    def _begun(self, tensors: Tensors) -> Tensors:
        """Let a sequence without steps of its own begin with the symbol that the model starts from."""
        if tensors.time:
            return tensors
        if self.decode.start is None or len(self.spec.shape) > 1:
            raise InvalidRequest(f"input '{self.spec.name}' is missing: the model has no symbol to start from")
        first = np.full((tensors.rows, 1), self.decode.start, NUMPY[self.spec.dtype])
        return msgspec.structs.replace(tensors, inputs={self.spec.name: first}, time=1)


def _checked(exchange: Exchange, limits: Limits) -> tuple[Sampling, Decode]:
    """Give how to generate; raises InvalidRequest where the model or the request does not."""
    parameters, decode, name = exchange.request.parameters, exchange.model.manifest.decode, exchange.model.key.name
    how = parameters.sampling
    if decode is None or how is None:
        raise InvalidRequest(f"model '{name}' does not generate: its manifest has no decode")
    if parameters.peek:
        raise InvalidRequest("recur_max_steps goes on with a sequence, and recur_peek leaves it as it is; give one")
    if parameters.sequence_id is None:
        raise InvalidRequest("recur_max_steps goes on with one sequence: name it by the parameter 'sequence_id'")
    if decode.sampling != "categorical" and how != Sampling(how.max_steps, seed=how.seed):
        raise InvalidRequest(f"model '{name}' generates by '{decode.sampling}': give recur_max_steps and no more")
    if how.beam_width > limits.max_batch:
        raise InvalidRequest(f"recur_beam_width {how.beam_width} is too wide; {limits.max_batch} is the widest")
    if how.beam_width and 2 * how.beam_width + 2 > limits.max_sequences:
        raise InvalidRequest(
            f"recur_beam_width {how.beam_width} takes the room of {2 * how.beam_width + 2} sequences, "
            f"and the model may have {limits.max_sequences}"
        )
    return how, decode
