"""A request that is answered how probable its own steps are."""

from typing import final

import msgspec
import numpy as np

from models.manifest import Decode, TensorSpec
from models.tensors import TIME
from server.codec.answers import encode_answer
from server.codec.tensors import Tensors
from server.errors import InvalidRequest
from server.rpc.exchange import Exchange
from server.scoring import log_probs
from server.types import Answer, Chunk

SPECS = (TensorSpec("log_prob", "FP32", (TIME,)), TensorSpec("log_prob_total", "FP32", ()))


@final
class Scoring:
    """The answer to a request for scores: to one sequence, or to rows that are not kept.

    Raises:
        InvalidRequest: the model gives no probabilities, or the request has nothing to score.
    """

    def __init__(self, exchange: Exchange, tensors: Tensors) -> None:
        self._exchange = exchange
        self._decode = _checked(exchange, tensors)

    def take(self, chunk: Chunk, answer: Answer) -> None:
        """Answer with the scores of what was run."""
        if answer.errors:
            self._exchange.fail(next(iter(answer.errors.values())))
            return
        given = chunk.inputs[self._decode.input][:, : chunk.time]
        found = log_probs(self._decode, answer.outputs[self._decode.output], given, chunk.lengths, chunk.end)
        outputs = {"log_prob": found.astype(np.float32), "log_prob_total": found.sum(1).astype(np.float32)}
        self._exchange.answer(self._written, msgspec.structs.replace(answer, outputs=outputs))

    def _written(self, answer: Answer) -> bytes:
        exchange, said = self._exchange, self._exchange.request.parameters
        return encode_answer(
            exchange.request.id,
            exchange.model.key,
            SPECS,
            answer,
            kept=said.sequence_id is not None,
            final=said.wants_final,
        )


def _checked(exchange: Exchange, tensors: Tensors) -> Decode:
    name, decode = exchange.model.key.name, exchange.model.manifest.decode
    if decode is None or decode.sampling == "identity":
        raise InvalidRequest(f"model '{name}' gives no probabilities that recur_score could tell")
    if all(spec.name != decode.output for spec in exchange.signature.outputs):
        raise InvalidRequest(f"recur_score needs '{decode.output}', which the graph of questions does not answer")
    if exchange.request.parameters.sampling is not None:
        raise InvalidRequest("recur_score scores what is given, and recur_max_steps goes on from it; give one")
    if "sequence_id" in tensors.reserved:
        raise InvalidRequest("recur_score is for one sequence, or for rows that are not kept: leave the input out")
    if not tensors.time:
        raise InvalidRequest(f"recur_score has nothing to score: input '{decode.input}' is missing")
    symbols = _symbols(exchange, decode)
    if symbols:
        given = np.asarray(tensors.valid(decode.input), np.int64)
        if ((given < 0) | (given >= symbols)).any():
            raise InvalidRequest(f"input '{decode.input}' has an index of no symbol: they count to {symbols - 1}")
    return decode


def _symbols(exchange: Exchange, decode: Decode) -> int:
    """How many symbols the model answers with; 0 for units."""
    if decode.sampling == "bernoulli":
        return 0
    spec = next(spec for spec in exchange.model.manifest.outputs if spec.name == decode.output)
    return int(spec.shape[-1])
