"""tritonclient streams sequences of many models, in a process of its own, each in chunks and all together ragged.

`python -m tests.e2e.every ADDRESS FILE` reads from FILE, a .npz, of every model `NAME` its inputs `[rows, time, …]` and
`NAME.lengths`, and of some `NAME.told`, which a row that begins brings besides; it writes FILE with `.answers.npz`
added: `NAME.chunked` and `NAME.ragged`, `[rows, time, outputs]`.
"""

import queue
import sys
from typing import Any

import numpy as np
import tritonclient.grpc as triton

SECONDS = 30


DTYPES = {"b": "BOOL", "f": "FP32", "i": "INT64"}


def tensor(name: str, array: np.ndarray) -> triton.InferInput:
    given = triton.InferInput(name, list(array.shape), DTYPES[array.dtype.kind])
    given.set_data_from_numpy(array)
    return given


def starting(told: np.ndarray | None) -> list[triton.InferInput]:
    """What the start graph takes: a vector that the sequence is about, or symbols that it is written from."""
    if told is None:
        return []
    return [tensor("context", told) if told.dtype.kind == "f" else tensor("source", told)]


def chunked(address: str, model: str, x: np.ndarray, lengths: np.ndarray, told: np.ndarray | None = None) -> np.ndarray:
    """Stream every row as a sequence of its own, in chunks of 1, 2, 3 and so on, the rows in turn."""
    answers: queue.Queue[Any] = queue.Queue()
    pieces: dict[int, list[np.ndarray]] = {row: [] for row in range(len(x))}
    sent = 0
    with triton.InferenceServerClient(address) as client:
        client.start_stream(lambda result, error: answers.put((result, error)))
        first, size = 0, 1
        while first < lengths.max():
            for row in np.flatnonzero(lengths > first):
                last = min(first + size, int(lengths[row]))
                about = None if told is None or first else told[row : row + 1]
                client.async_stream_infer(
                    model,
                    [tensor("x", x[row : row + 1, first:last]), *starting(about)],
                    sequence_id=int(row) + 1,
                    request_id=str(row),
                    sequence_start=first == 0,
                    sequence_end=last == lengths[row],
                )
                sent += 1
            first, size = first + size, size + 1
        for _ in range(sent):
            result, error = answers.get(timeout=SECONDS)
            assert error is None, error
            # A model that needs the whole sequence answers nothing before its end.
            if (y := result.as_numpy("y")) is not None:
                pieces[int(result.get_response().id)].append(y[0])
        client.stop_stream()
    return padded([np.concatenate(parts) for parts in pieces.values()], x.shape[1])


def ragged(address: str, model: str, x: np.ndarray, lengths: np.ndarray, told: np.ndarray | None = None) -> np.ndarray:
    """Send all rows as sequences of one request, by their lengths."""
    rows = len(x)
    with triton.InferenceServerClient(address) as client:
        result = client.infer(
            model,
            [
                tensor("x", x),
                tensor("lengths", lengths),
                tensor("sequence_id", np.arange(101, 101 + rows)),
                tensor("sequence_start", np.ones(rows, np.bool_)),
                tensor("sequence_end", np.ones(rows, np.bool_)),
                *starting(told),
            ],
        )
    assert not result.as_numpy("sequence_status").any(), result.as_numpy("sequence_error")
    return padded([y[:length] for y, length in zip(result.as_numpy("y"), lengths, strict=True)], x.shape[1])


def padded(rows: list[np.ndarray], time: int) -> np.ndarray:
    whole = np.zeros((len(rows), time, rows[0].shape[-1]), np.float32)
    for row, values in enumerate(rows):
        whole[row, : len(values)] = values
    return whole


def main(address: str, path: str) -> None:
    given, found = np.load(path), {}
    for model in (name.removesuffix(".lengths") for name in given.files if name.endswith(".lengths")):
        about = given[f"{model}.told"] if f"{model}.told" in given.files else None
        asked = address, model, given[model], given[f"{model}.lengths"], about
        found |= {f"{model}.chunked": chunked(*asked), f"{model}.ragged": ragged(*asked)}
    np.savez(f"{path}.answers.npz", **found)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
