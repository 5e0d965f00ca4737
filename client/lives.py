"""Many sequences in one request: a row for each, every row with its own status, step and life."""

import uuid
from collections.abc import Callable, Iterable, Sequence
from typing import final

import msgspec
import numpy as np
from numpy.typing import ArrayLike, NDArray

from client.errors import ClientError, Conflict, Full, InvalidRequest, SequenceGone
from client.messages import Array, Arrays, Inputs, Reply, Request, SequenceId, as_arrays, as_bytes, last_steps
from client.plans import Pause, Plan, ask
from client.retry import HURRIED, Attempts, Retry, may_retry
from client.status import row_error

Rows = NDArray[np.intp]
ROW_TENSORS = ("sequence_status", "sequence_error", "recur_step", "recur_replayed")


class RowsAnswer(msgspec.Struct, frozen=True, eq=False):
    """What many rows gave.

    Attributes:
        outputs: by name, `[rows, time, …]`, zeros in the rows that failed; `answer["y"]` is short for it.
        errors: for each row None, or why it failed.
        positions: the steps that each sequence has had, INT64 `[rows]`.
        replayed: which rows had been applied before, BOOL `[rows]`.
    """

    outputs: Arrays
    errors: Sequence[ClientError | None]
    positions: Array
    replayed: Array

    def __getitem__(self, name: str) -> Array:
        """Give the output of that name."""
        return self.outputs[name]


def rows_request(
    model: str,
    ids: Iterable[SequenceId],
    inputs: Inputs,
    *,
    start: ArrayLike,
    end: ArrayLike,
    version: str = "",
    numbers: Arrays | None = None,
) -> Request:
    """Put ids, flags and, where the rows are numbered, steps and incarnations beside the inputs: one value a row."""
    ids = list(ids)
    if not ids:
        raise InvalidRequest("no sequence ids came; a request has one row for each")
    count = (len(ids),)
    arrays = {
        "sequence_id": _id_tensor(ids),
        "sequence_start": np.broadcast_to(np.asarray(start, bool), count),
        "sequence_end": np.broadcast_to(np.asarray(end, bool), count),
        **(numbers or {}),
        **as_arrays(inputs),
    }
    for name, array in arrays.items():
        if array.shape[:1] != count:
            raise InvalidRequest(
                f"'{name}' has shape {list(array.shape)}; one row for each of {len(ids)} ids is expected"
            )
    return Request(model, arrays, version=version, safe=numbers is not None)


def rows_answer(reply: Reply) -> RowsAnswer:
    """Read the rows' statuses apart from the model's outputs."""
    missing = [name for name in ROW_TENSORS if name not in reply.outputs]
    if missing:
        raise ClientError(f"the answer lacks {', '.join(missing)}; this server does not serve many sequences at once")
    outputs = {name: array for name, array in reply.outputs.items() if name not in ROW_TENSORS}
    statuses, sentences, positions, replayed = (reply.outputs[name] for name in ROW_TENSORS)
    errors = [row_error(int(code), text) for code, text in zip(statuses, sentences, strict=True)]
    return RowsAnswer(outputs, errors, positions, replayed)


def ask_rows(request: Request, attempts: Attempts) -> Plan[RowsAnswer]:
    """Ask once for rows that are not numbered; sent again only where the server refused the whole request."""
    return rows_answer((yield from ask(request, attempts)))


@final
class Lives:
    """The ids of many sequences with their positions, as arrays `[sequences]` in the order of the ids."""

    def __init__(
        self,
        model: str,
        ids: Iterable[SequenceId],
        *,
        version: str = "",
        attempts: Callable[[Retry | None], Attempts],
    ) -> None:
        self.ids = list(ids)
        self.positions = np.zeros(len(self.ids), np.int64)
        self.live = np.zeros(len(self.ids), bool)
        self.incarnation = uuid.uuid4().hex
        self._model = model
        self._version = version
        self._attempts = attempts
        self._last: list[tuple[Arrays, int] | None] = [None] * len(self.ids)

    def step(self, inputs: Inputs, *, rows: ArrayLike | None = None, end: ArrayLike = False) -> Plan[RowsAnswer]:
        """Run the next chunk of the sequences `rows` (all by default); rows that may succeed later are sent again.

        Args:
            inputs: by name, `[rows, time, …]`.
            rows: which of the ids, by index; each once.
            end: one flag, or one for each row.
        """
        chosen = np.arange(len(self.ids)) if rows is None else np.asarray(rows, np.intp)
        arrays, ends = as_arrays(inputs), np.broadcast_to(np.asarray(end, bool), chosen.shape)
        return (yield from self._step(arrays, chosen, ends, self._attempts(None)))

    def close(self, *, hurried: bool = False) -> Plan[bool]:
        """END the sequences that live, each with its last step once more; tell whether all have ended."""
        attempts = self._attempts(HURRIED if hurried else None)
        for inputs, of in self._by_last_request():
            rows = np.array([index for index, _ in of])
            ending = last_steps(inputs, np.array([row for _, row in of]))
            answer = yield from self._step(ending, rows, np.ones(len(rows), bool), attempts)
            self.live[rows[[isinstance(error, SequenceGone | Conflict) for error in answer.errors]]] = False
        return not self.live.any()

    def _by_last_request(self) -> list[tuple[Arrays, list[tuple[int, int]]]]:
        groups: dict[int, tuple[Arrays, list[tuple[int, int]]]] = {}
        for index, last in enumerate(self._last):
            if self.live[index] and last is not None:
                groups.setdefault(id(last[0]), (last[0], []))[1].append((index, last[1]))
        return list(groups.values())

    def _step(self, inputs: Arrays, chosen: Rows, ends: Array, attempts: Attempts) -> Plan[RowsAnswer]:
        merged: RowsAnswer | None = None
        waiting = np.arange(len(chosen))
        while True:
            request = self._request(inputs, chosen, waiting, ends)
            try:
                answer = rows_answer((yield from ask(request, attempts)))
            except ClientError:
                if merged is None:
                    raise
                return merged  # the rows that were waited for keep their errors
            self._take(chosen[waiting], answer, ends[waiting])
            for row in waiting.tolist():
                self._last[chosen[row]] = (inputs, row)
            merged = answer if merged is None else _filled(merged, waiting, answer)
            waiting = np.array([row for row in waiting.tolist() if _comes_back(merged.errors[row])], np.intp)
            seconds = attempts.pause() if len(waiting) else None
            if seconds is None:
                return merged
            yield Pause(seconds)

    def _request(self, inputs: Arrays, chosen: Rows, waiting: Rows, ends: Array) -> Request:
        of = chosen[waiting]
        numbers = {
            "recur_step": self.positions[of],
            "recur_incarnation": np.array([self.incarnation.encode()] * len(of), object),
        }
        return rows_request(
            self._model,
            [self.ids[row] for row in of],
            {name: array[waiting] for name, array in inputs.items()},
            start=~self.live[of],
            end=ends[waiting],
            version=self._version,
            numbers=numbers,
        )

    def _take(self, of: Rows, answer: RowsAnswer, ends: Array) -> None:
        good = np.array([error is None for error in answer.errors])
        self.positions[of[good]] = answer.positions[good]
        self.live[of[good]] = ~ends[good]


def _filled(merged: RowsAnswer, rows: Rows, answer: RowsAnswer) -> RowsAnswer:
    """Put what `rows` gave this time into the places of what they gave before."""
    errors = list(merged.errors)
    for row, error in zip(rows.tolist(), answer.errors, strict=True):
        errors[row] = error
    count = len(errors)
    outputs = {name: _placed(merged.outputs.get(name), rows, array, count) for name, array in answer.outputs.items()}
    return RowsAnswer(
        {**merged.outputs, **outputs},
        errors,
        _placed(merged.positions, rows, answer.positions, count),
        _placed(merged.replayed, rows, answer.replayed, count),
    )


def _placed(before: Array | None, rows: Rows, values: Array, count: int) -> Array:
    after = np.zeros((count, *values.shape[1:]), values.dtype) if before is None else before.copy()
    after[rows] = values
    return after


def _comes_back(error: ClientError | None) -> bool:
    # Rows carry no hint: a full server is asked again after the client's own pause.
    return error is not None and (isinstance(error, Full) or may_retry(error, safe=True))


def _id_tensor(ids: Sequence[SequenceId]) -> Array:
    if all(isinstance(value, int | np.integer) for value in ids):
        try:
            return np.array(ids, np.int64)
        except OverflowError as error:
            raise InvalidRequest("'sequence_id' has an integer beyond 64 bits; give text or a smaller one") from error
    if all(isinstance(value, str) for value in ids):
        return np.array([as_bytes("'sequence_id'", value) for value in ids], object)
    raise InvalidRequest("the sequence ids are not all integers or all strings; all of one kind are expected")
