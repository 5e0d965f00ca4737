"""The plain values that pass between the server's layers.

Those made for every request are named tuples and msgspec's structs: a dataclass costs more to build than a row to run.
What a batch has a row of is an array, so that the bookkeeping of many rows costs little more than that of one.
"""

import asyncio
import math
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Literal, NamedTuple, Protocol, final

import msgspec
import numpy as np
from numpy.typing import NDArray

from models.device_array import Rows
from server.errors import RecurError
from server.sampling import Drawn, Draws

Array = NDArray[np.generic]
Arrays = Mapping[str, Array]
Flags = NDArray[np.bool_]
Ints = NDArray[np.int64]
Slots = NDArray[np.intp]
Words = NDArray[np.uint64]
SequenceId = int | str

# A step number of a request that does not count its steps; a slot of a row whose state is not kept.
UNNUMBERED = -1
NOWHERE = -1

Part = Literal["run", "start", "peek"]
# What may befall a sequence unasked.
Event = Literal["expired", "fenced", "model_gone"]


class ModelKey(NamedTuple):
    """A model version."""

    name: str
    version: int


class Scope(NamedTuple):
    """Within it a sequence's id is its name: the integer 5 and the string "5" are two sequences.

    The version is not part of it: a sequence stays the same one when a newer version is published.
    """

    tenant: str
    model: str


@final
class Watch:
    """One stream: how to tell it, whether it wants to be told, and the sequences that it spoke of last."""

    def __init__(self, notify: Callable[[Scope, SequenceId, Event], None]) -> None:
        self.notify = notify
        self.keys: set[tuple[Scope, SequenceId]] = set()
        self._wants: bool | None = None

    def wants(self, *, said: bool) -> bool:
        """Note what a request says; the stream's first is what counts."""
        if self._wants is None:
            self._wants = said
        return self._wants


class Answer(msgspec.Struct, frozen=True, eq=False):
    """What the rows of a chunk gave.

    Attributes:
        outputs: by name, `[rows, time, …]`; zeros in a row with an error; none where something is drawn from them.
        positions: steps that each row's sequence has had, `[rows]`.
        replayed: the rows whose stored answer is given again, `[rows]`; None for none.
        errors: by row; empty where all is well.
        drawn: what is fed back, where the chunk asked for draws and all of the batch ran.
    """

    outputs: Arrays
    positions: Ints
    replayed: Flags | None = None
    errors: Mapping[int, RecurError] = {}
    drawn: Drawn | None = None


class Lease(NamedTuple):
    """Slots that belong to one request, whose rows are continuations of one sequence; none is read and written at once.

    Attributes:
        home: the slot of the sequence itself.
        slots: all that belong to the request.
        reads: where the state of each row is before its step, `[rows]`; several may continue the same.
        writes: where it is to be afterwards, `[rows]`.
    """

    home: int
    slots: Sequence[int]
    reads: Slots
    writes: Slots


class Chunk(msgspec.Struct, eq=False, kw_only=True):
    """Rows of one request that run together: the next steps of sequences, or whole sequences that are not kept.

    Attributes:
        model: the version to run on.
        scope: whose sequences.
        ids: the sequence of each row, each once; empty where nothing is kept.
        inputs: by name, `[rows, time or more, …]`, or `[rows, …]` for one that the model takes once a chunk.
        starting: what the model's start graph takes, by name, `[rows, …]`; of rows that do not start it has no meaning.
        lengths: valid steps of each row, 1..time, `[rows]`; 0 where the model's start graph alone runs.
        start, end: begin the sequence at the initial state; forget it afterwards, `[rows]`.
        steps: steps done before, as the client counts them, `[rows]`; UNNUMBERED where it does not.
        lives: which life of its id a row means, `[rows]`; 0 where the client does not say.
        size: chunks of one size and one shape may run together.
        shape: the sizes of the inputs' free axes other than time.
        part: which of the model's graphs runs.
        done: called on the event loop, once for every row of the request, with the answer to the chunk's rows; a chunk
            that it returns goes on with the same sequences, before all that wait.
        place: where the chunk's rows stand in the request, `[rows]`; None for a whole request.
        watch: the stream to tell what befalls the sequences later.
        client: who asks; the turns of one client are spread over those of others.
        priority: 0 is the most urgent.
        arrived: monotonic seconds.
        deadline: monotonic seconds after which the chunk must not start.
        due: when the scheduler means it to run, at the latest.
        plain: every row goes on with a live sequence, its steps not counted by the client, and nothing else.
        starts: whether any row starts.
        waits: in its lane for its turn, or in the line of its sequence for the chunk before it.
        timer: what gives it up at its deadline.
        cuts: the chunks that took its place, where its rows could not all run together, or it goes on.
        digests: of the requests of which these are later steps, `[rows]`; None for the chunk's own inputs.
        before: steps that the requests have had in earlier chunks, `[rows]`; None for a request's first.
        held: it waits until its client has read, though its turn may come.
        draws: what is to be drawn from the answers to the last steps, of each row.
        cohort: whose chunks go on as one.
        lease: the rows' own slots, where they are all of the one sequence that `ids` has; None where each has its own.
    """

    model: ModelKey
    scope: Scope
    ids: Sequence[SequenceId]
    inputs: Arrays
    lengths: Ints
    time: int
    start: Flags
    end: Flags
    steps: Ints
    lives: Words
    done: "Done"
    starting: Arrays = {}
    size: int = 1
    shape: tuple[int, ...] = ()
    part: Part = "run"
    place: Ints | None = None
    watch: Watch | None = None
    client: int = 0
    priority: int = 0
    arrived: float = 0.0
    deadline: float = math.inf
    due: float = 0.0
    plain: bool = False
    starts: bool = False
    waits: Literal["lane", "line", "hold"] | None = None
    cuts: "list[Chunk]" = []
    timer: asyncio.TimerHandle | None = None
    digests: Words | None = None
    before: Ints | None = None
    held: bool = False
    lease: Lease | None = None
    draws: Draws | None = None
    cohort: "Cohort | None" = None

    @property
    def rows(self) -> int:
        """How many rows of a batch the chunk takes."""
        return len(self.lengths)

    def cut_out(self, rows: Ints) -> "Chunk":
        """Make a chunk of some of the rows, whose time is that of the longest of them."""
        lengths = self.lengths[rows]
        return msgspec.structs.replace(
            self,
            ids=[self.ids[row] for row in rows.tolist()] if self.ids else (),
            inputs={name: array[rows] for name, array in self.inputs.items()},
            starting={name: array[rows] for name, array in self.starting.items()},
            lengths=lengths,
            time=int(lengths.max()),
            start=(start := self.start[rows]),
            starts=bool(start.any()),
            end=self.end[rows],
            steps=self.steps[rows],
            lives=self.lives[rows],
            place=rows if self.place is None else self.place[rows],
            digests=None if self.digests is None else self.digests[rows],
            before=None if self.before is None else self.before[rows],
            draws=None if self.draws is None else self.draws.rows(rows),
            cuts=[],
        )

    def take_out(self, rows: Ints) -> "Chunk":
        """Take some of the rows out, which are given as a chunk; the others stay."""
        taken, left = self.cut_out(rows), self.cut_out(np.setdiff1d(np.arange(self.rows), rows))
        for name in self.__struct_fields__:
            if name != "cuts":
                setattr(self, name, getattr(left, name))
        return taken


class Cohort(Protocol):
    """Requests that go on together, each with one row of the same chunk."""

    def join(self, chunks: Sequence[Chunk]) -> Chunk:
        """Make one chunk of the rows of several."""
        ...


Done = Callable[[Chunk, Answer], "Chunk | None"]


class Stored(NamedTuple):
    """The last answer to a sequence, kept for a request that comes again.

    Attributes:
        outputs: by name, `[length, …]`, or `[…]` for one without a time axis.
        position: steps that the sequence had then.
    """

    outputs: Arrays
    position: int


class Record(NamedTuple):
    """Where a sequence stands.

    Attributes:
        position: steps done.
        length: steps of its last request, UNNUMBERED if that request did not count them.
        digest: of that request's inputs.
        life: which life of its id this is; 0 where the client did not say.
    """

    position: int
    length: int
    digest: int
    life: int


class Starting(NamedTuple):
    """Rows of a batch that the model's start graph begins together.

    Attributes:
        rows: where they stand in the batch.
        inputs: what the graph takes, by name, `[rows, …]`.
    """

    rows: Slots
    inputs: Arrays


class States(NamedTuple):
    """The states of some rows, by name.

    Attributes:
        fixed: `[rows, …]`, on the host or on a device.
        ragged: those with a free axis: an array for each row, of its own size.
    """

    fixed: Mapping[str, Rows]
    ragged: Mapping[str, list[Array]] = {}

    def of(self, rows: Slots) -> "States":
        """Give some of the rows."""
        return States(
            {name: array[rows] for name, array in self.fixed.items()},
            {name: [arrays[row] for row in rows.tolist()] for name, arrays in self.ragged.items()},
        )


class Batch(NamedTuple):
    """Rows of many sequences, run together.

    Attributes:
        slots: where each row's state lives, `[rows]`; NOWHERE for rows that are not kept.
        fresh: the rows that begin at the initial state, `[rows]`.
        inputs: by name, `[rows, time, …]`, zeros after a row's length, or `[rows, …]`.
        lengths: valid steps of each row, `[rows]`.
        positions: steps done after the batch, `[rows]`.
        numbered: the rows whose answer is kept for a request that comes again, `[rows]`; None for none.
        digests: of the inputs of those rows, `[rows]`.
        lives: which life of its id each row is, `[rows]`.
        part: which graph runs.
        whole: every row is of a sequence that was there before.
        time: of the longest chunk.
        starting: the rows that the model's start graph begins, by the shapes of what it takes.
        spans: steps that the request of each row has had, `[rows]`; None where they are the lengths.
        told: steps that each row is answered, `[rows]`; None where they are the lengths.
        sources: where each row's state is before the run, `[rows]`; None where that is its slot.
        sizes: of the outputs with a free axis other than time, how large it is in each row, `[rows]`, by name.
    """

    slots: Slots
    fresh: Flags
    inputs: Arrays
    lengths: Ints
    positions: Ints
    numbered: Flags | None
    digests: Words
    lives: Words
    part: Part = "run"
    whole: bool = False
    time: int = 1
    starting: Sequence[Starting] = ()
    spans: Ints | None = None
    told: Ints | None = None
    sources: Slots | None = None
    sizes: Mapping[str, Ints] = MappingProxyType({})

    def of(self, rows: Slots) -> "Batch":
        """Give some of the rows, which have begun."""
        return Batch(
            self.slots[rows],
            self.fresh[rows],
            {name: array[rows] for name, array in self.inputs.items()},
            self.lengths[rows],
            self.positions[rows],
            None if self.numbered is None else self.numbered[rows],
            self.digests[rows],
            self.lives[rows],
            self.part,
            self.whole,
            self.time,
            spans=None if self.spans is None else self.spans[rows],
            told=None if self.told is None else self.told[rows],
            sources=None if self.sources is None else self.sources[rows],
            sizes={name: sizes[rows] for name, sizes in self.sizes.items()},
        )


class BatchResult(NamedTuple):
    """What a batch gave, committed already.

    Attributes:
        outputs: by name, `[rows, time, …]`.
        finite: the rows whose outputs and next states are finite, the only ones committed, `[rows]`; None for all.
        seconds: time in each stage: gather, compute, scatter.
        full: the rows whose states had no room to grow, not committed either, `[rows]`; None for none.
        sizes: as in the batch.
    """

    outputs: Arrays
    finite: Flags | None
    seconds: Mapping[str, float]
    full: Flags | None = None
    sizes: Mapping[str, Ints] = MappingProxyType({})
