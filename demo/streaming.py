"""A client of a character model, over an unmodified tritonclient: one gRPC stream, the state on the server."""

import json
import queue
from collections.abc import Iterator
from itertools import count, pairwise
from typing import Self, final

import numpy as np
import tritonclient.grpc as triton

CHUNK = 100
ANSWER_SECONDS = 30


@final
class Stream:
    """A stream of requests to one model, each answered in turn."""

    def __init__(self, address: str, model: str) -> None:
        self._client = triton.InferenceServerClient(address)
        self._model = model
        self._answers: queue.Queue[tuple[triton.InferResult, Exception | None]] = queue.Queue()

    def __enter__(self) -> Self:
        self._client.start_stream(lambda result, error: self._answers.put((result, error)))
        return self

    def __exit__(self, *_: object) -> None:
        self._client.stop_stream()
        self._client.close()

    def vocabulary(self) -> list[str]:
        """The model's symbols, in the order of their indices."""
        config = self._client.get_model_config(self._model).config
        return [json.loads(line) for line in config.parameters["vocabulary"].string_value.splitlines()]

    def step(self, sequence: int, symbols: list[int], *, start: bool = False, end: bool = False) -> np.ndarray:
        """Send the next symbols of a sequence; returns the logits of what follows each, `[time, symbols]`."""
        x = triton.InferInput("x", [1, len(symbols)], "INT64")
        x.set_data_from_numpy(np.array([symbols], np.int64))
        self._client.async_stream_infer(self._model, [x], sequence_id=sequence, sequence_start=start, sequence_end=end)
        result, error = self._answers.get(timeout=ANSWER_SECONDS)
        if error is not None:
            raise error
        logits: np.ndarray = result.as_numpy("y")[0]
        return logits


@final
class CharacterModel:
    """Scores and generates text; each use is a sequence of its own."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._symbols = stream.vocabulary()
        self._index = {symbol: i for i, symbol in enumerate(self._symbols)}
        self._sequences = count(1)

    def encode(self, text: str) -> list[int]:
        """Give the symbols' indices; a character that the model never saw is its last symbol."""
        return [self._index.get(character, len(self._symbols) - 1) for character in text]

    def score(self, text: str) -> float:
        """Give mean bits per character, each predicted from all before it; sent in chunks."""
        symbols, sequence = self.encode(text), next(self._sequences)
        bounds = [*range(0, len(symbols) - 1, CHUNK), len(symbols) - 1]
        bits = 0.0
        for start, stop in pairwise(bounds):
            logits = self._stream.step(sequence, symbols[start:stop], start=start == 0, end=stop == bounds[-1])
            bits -= float(_log2_probabilities(logits)[range(stop - start), symbols[start + 1 : stop + 1]].sum())
        return bits / (len(symbols) - 1)

    def generate(self, prompt: str, characters: int, *, temperature: float, seed: int) -> Iterator[str]:
        """Read the prompt in one chunk, then draw characters, one step each."""
        random, sequence = np.random.default_rng(seed), next(self._sequences)
        logits = self._stream.step(sequence, self.encode(prompt), start=True)
        for drawn in range(characters):
            probabilities = np.exp2(_log2_probabilities(logits[-1] / temperature))
            symbol = int(random.choice(len(self._symbols), p=probabilities / probabilities.sum()))
            yield self._symbols[symbol]
            logits = self._stream.step(sequence, [symbol], end=drawn == characters - 1)


def _log2_probabilities(logits: np.ndarray) -> np.ndarray:
    exact = logits.astype(np.float64)
    shifted = exact - exact.max(axis=-1, keepdims=True)
    probabilities: np.ndarray = (shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))) / np.log(2)
    return probabilities
