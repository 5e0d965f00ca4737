"""The client for asyncio; `client.blocking` is the same for threads."""

from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import suppress
from typing import Self, TypeVar, final

import grpc
from numpy.typing import ArrayLike

from client.aio_transport import Exchange, Transport
from client.channel import Options
from client.errors import ClientError
from client.life import Generation, Life
from client.lives import Lives, RowsAnswer, ask_rows, rows_request
from client.messages import Answer, Array, Notice, SequenceId
from client.plans import Emit, Plan
from client.retry import Attempts, Retry

T = TypeVar("T")


@final
class Client:
    """A connection to a server, for any number of sequences and tasks of one event loop."""

    def __init__(
        self,
        address: str,
        *,
        streamed: bool = False,
        retry: Retry | None = None,
        on_notice: Callable[[Notice], None] | None = None,
        credentials: grpc.ChannelCredentials | None = None,
        options: Options = (),
    ) -> None:
        """Make a client; it connects when the first request is made.

        Args:
            address: HOST:PORT.
            streamed: one stream for all requests; without it a call for each. A generation has a stream of its own.
            retry: how long to go on after a lost answer or a refusal that passes.
            on_notice: called on the event loop with what the server says unasked.
            credentials: for TLS.
            options: of the gRPC channel, beside the client's own.
        """
        self._transport = Transport(address, on_notice, credentials, options)
        self._streamed = streamed
        self._retry = retry or Retry()

    def sequence(self, model: str, id: SequenceId | None = None, *, version: str = "") -> "Sequence":
        """Give a sequence that begins at its first step; without `id` a random one is taken."""
        return Sequence(self, Life(model, id, version=version, attempts=self.attempts))

    def sequences(self, model: str, ids: Iterable[SequenceId], *, version: str = "") -> "Sequences":
        """Give many sequences, a row for each in one request."""
        return Sequences(self, Lives(model, ids, version=version, attempts=self.attempts))

    async def rows(
        self,
        model: str,
        ids: Iterable[SequenceId],
        *,
        start: ArrayLike = False,
        end: ArrayLike = False,
        version: str = "",
        **inputs: ArrayLike,
    ) -> RowsAnswer:
        """Run one chunk of many sequences, `[rows, time, …]`, not numbered: applied once if answered, else unknown."""
        request = rows_request(model, ids, inputs, start=start, end=end, version=version)
        return await self.run(ask_rows(request, self.attempts()))

    def attempts(self, retry: Retry | None = None) -> Attempts:
        """Begin to count the tries of one request."""
        return Attempts(retry or self._retry)

    async def run(self, plan: Plan[T]) -> T:
        """Perform a plan to its end."""
        exchange, event = Exchange(self._transport, streamed=self._streamed), None
        try:
            while True:
                event = await exchange.perform(plan.send(event))
        except StopIteration as done:
            result: T = done.value
            return result
        finally:
            plan.close()
            await exchange.close()

    async def iterate(self, plan: Plan[None]) -> AsyncIterator[Answer]:
        """Perform a plan and give the answers that it emits."""
        exchange, event = Exchange(self._transport, streamed=True), None
        try:
            while True:
                try:
                    effect = plan.send(event)
                except StopIteration:
                    return
                if isinstance(effect, Emit):
                    yield effect.answer
                event = await exchange.perform(effect)
        finally:
            plan.close()
            await exchange.close()

    async def close(self) -> None:
        """Close the connection; sequences that were not ended are left to the server's idle time."""
        await self._transport.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()


@final
class Sequence:
    """One sequence: `async with client.sequence("charlm") as s: y = await s.step(x=array)`. For one task at a time."""

    def __init__(self, client: Client, life: Life) -> None:
        self._client = client
        self._life = life

    @property
    def id(self) -> SequenceId:
        """What the server knows the sequence by."""
        return self._life.id

    @property
    def incarnation(self) -> str:
        """The random name of this life of the id."""
        return self._life.incarnation

    @property
    def position(self) -> int:
        """The steps that it has had."""
        return self._life.position

    async def step(self, *, end: bool = False, **inputs: ArrayLike) -> Answer:
        """Run the next chunk, `[1, time, …]`, once; after a Timeout the same inputs, given again, are the same step.

        Raises:
            ClientError: the sequence is as it was, but for a Timeout, after which that is unknown.
        """
        return await self._client.run(self._life.step(inputs, end=end))

    async def score(self, *, end: bool = False, **inputs: ArrayLike) -> Answer:
        """Run the next chunk, and be told `log_prob [1, time]`, of what follows each step in it, and `log_prob_total`.

        Raises:
            ClientError: the sequence is as it was, but for a Timeout, after which that is unknown.
        """
        return await self._client.run(self._life.score(inputs, end=end))

    async def peek(self, **inputs: ArrayLike) -> Answer:
        """Ask on the state as it is, and leave it so: a question to a memory, or what would follow.

        Raises:
            SequenceGone: it has had no step yet, or has ended.
            ClientError: it was not answered; the sequence is as it was.
        """
        return await self._client.run(self._life.peek(inputs))

    def generate(
        self,
        *,
        max_steps: int,
        temperature: float | None = None,
        top_k: int | None = None,
        top_p: float | None = None,
        seed: int | None = None,
        beam_width: int | None = None,
        length_penalty: float | None = None,
        answer_steps: int | None = None,
        end: bool = False,
        **inputs: ArrayLike,
    ) -> AsyncIterator[Answer]:
        """Run the prompt, then give each generated step as it comes; the last one has a `finish_reason`.

        Who leaves early ends it on the server too; the sequence's next step learns where that left it. After an answer
        was lost the rest may come as the last one alone, with `replayed`. With `beam_width` nothing is
        drawn, and one answer comes: the most probable that were found, `[beam, time]`, with `beam_score` and
        `beam_length`, `[beam]`; a `length_penalty` of 0 compares them by their probability, 1 by its mean a symbol.
        With `answer_steps` an answer has as many as so many steps, `[1, steps, …]`: those that came while the answers
        before it were written, which is faster where many generate.
        """
        how = Generation(max_steps, temperature, top_k, top_p, seed, beam_width, length_penalty, answer_steps)
        return self._client.iterate(self._life.generate(inputs, how, end=end))

    async def close(self) -> bool:
        """END the sequence where it lives; False where it is left to the server's idle time."""
        return await self._client.run(self._life.close())

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            await self.close()
            return
        with suppress(ClientError):  # the block's own error is the one to tell
            await self._client.run(self._life.close(hurried=True))


@final
class Sequences:
    """Many sequences, stepped together. For one task at a time."""

    def __init__(self, client: Client, lives: Lives) -> None:
        self._client = client
        self._lives = lives

    @property
    def ids(self) -> list[SequenceId]:
        """What the server knows them by."""
        return list(self._lives.ids)

    @property
    def positions(self) -> Array:
        """The steps that each has had, INT64 `[sequences]`."""
        return self._lives.positions.copy()

    async def step(self, *, rows: ArrayLike | None = None, end: ArrayLike = False, **inputs: ArrayLike) -> RowsAnswer:
        """Run the next chunk, `[rows, time, …]`, once in each; rows that fail for a while are sent again.

        Args:
            rows: which of the sequences, by index; all by default.
            end: one flag, or one for each row.
            inputs: by name, one row for each of `rows`.
        """
        return await self._client.run(self._lives.step(inputs, rows=rows, end=end))

    async def close(self) -> bool:
        """END those that live; False where some are left to the server's idle time."""
        return await self._client.run(self._lives.close())

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            await self.close()
            return
        with suppress(ClientError):  # the block's own error is the one to tell
            await self._client.run(self._lives.close(hurried=True))
