"""What the compose test asks from inside the server's container; it exits 1 at the first answer that is wrong."""

import json
import os
import sys
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator, Sequence

import grpc
import numpy as np

from server.pb import grpc_service_pb2 as pb
from server.pb.grpc_service_pb2_grpc import GRPCInferenceServiceStub

MODEL = "charlm"
SYMBOLS = np.array([3, 1, 4, 1, 5, 9, 2, 6], np.int64)
PROMETHEUS = "http://prometheus:9090/api/v1/query?query="
CALL_SECONDS, PATIENCE_SECONDS, PAUSE_SECONDS = 10, 60, 0.5


def empty(server: GRPCInferenceServiceStub) -> None:
    """The server lives, is ready, and has no model."""
    _expect(server.ServerLive(pb.ServerLiveRequest(), timeout=CALL_SECONDS).live, "the server lives")
    _expect(server.ServerReady(pb.ServerReadyRequest(), timeout=CALL_SECONDS).ready, "the server is ready")
    _expect(_index(server) == {}, f"the repository is empty: {_index(server)}")


def serves(server: GRPCInferenceServiceStub) -> None:
    """The model that was published while the server ran is served, without a restart."""
    _expect(_comes(lambda: _index(server) == {(MODEL, "1"): "READY"}), f"the model is served: {_index(server)}")


def streams(server: GRPCInferenceServiceStub) -> None:
    """A sequence sent step by step is answered as one sent whole, so its state is kept; without a past it is not."""
    whole = _stream(server, 1, [SYMBOLS])
    stepwise = _stream(server, 2, np.split(SYMBOLS, len(SYMBOLS)))
    no_past = _stream(server, 3, [SYMBOLS[-1:]])
    _expect(bool(np.isfinite(whole).all()), "every logit is finite")
    _expect(np.array_equal(whole, stepwise), "one chunk and single steps give the same bits")
    _expect(not np.allclose(whole[-1], no_past[-1]), "the past changes the answer")


def scraped(_: GRPCInferenceServiceStub) -> None:
    """Prometheus reads the server, and sees the steps that were streamed."""
    steps = 2 * len(SYMBOLS) + 1
    _expect(_comes(lambda: _query('up{job="recur"}') == ["1"]), f"the target is up: {_query('up')}")
    series = f'recur_steps_total{{model="{MODEL}",version="1"}}'
    _expect(_comes(lambda: _query(series) == [str(steps)]), f"Prometheus counts {steps} steps: {_query(series)}")


def _index(server: GRPCInferenceServiceStub) -> dict[tuple[str, str], str]:
    answer = server.RepositoryIndex(pb.RepositoryIndexRequest(), timeout=CALL_SECONDS)
    return {(model.name, model.version): model.state for model in answer.models}


def _stream(server: GRPCInferenceServiceStub, sequence: int, chunks: Sequence[np.ndarray]) -> np.ndarray:
    """Send a sequence's chunks `[time]` on one stream; returns all logits `[time, symbols]`."""
    answers = list(server.ModelStreamInfer(_requests(sequence, chunks), timeout=CALL_SECONDS))
    for answer in answers:
        _expect(not answer.error_message, f"the stream's answer: {answer.error_message or 'no error'}")
    return np.concatenate([_logits(answer.infer_response) for answer in answers])


def _requests(sequence: int, chunks: Sequence[np.ndarray]) -> Iterator[pb.ModelInferRequest]:
    for number, chunk in enumerate(chunks):
        request = pb.ModelInferRequest(model_name=MODEL, raw_input_contents=[chunk.tobytes()])
        request.inputs.add(name="x", datatype="INT64", shape=[1, len(chunk)])
        request.parameters["sequence_id"].int64_param = sequence
        request.parameters["sequence_start"].bool_param = number == 0
        request.parameters["sequence_end"].bool_param = number == len(chunks) - 1
        yield request


def _logits(response: pb.ModelInferResponse) -> np.ndarray:
    return np.frombuffer(response.raw_output_contents[0], np.float32).reshape(tuple(response.outputs[0].shape)[1:])


def _query(expression: str) -> list[str]:
    """Ask Prometheus; returns the value of each series."""
    with urllib.request.urlopen(PROMETHEUS + urllib.parse.quote(expression), timeout=CALL_SECONDS) as answer:
        return [series["value"][1] for series in json.load(answer)["data"]["result"]]


def _comes(true: Callable[[], bool]) -> bool:
    """Wait until something is true; returns False where it does not become so."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not true():
        if time.monotonic() > deadline:
            return False
        time.sleep(PAUSE_SECONDS)
    return True


def _expect(true: bool, fact: str) -> None:
    if not true:
        sys.exit(f"probe: false: {fact}")


if __name__ == "__main__":
    with grpc.insecure_channel(os.environ["RECUR_LISTEN"]) as channel:
        probes = {probe.__name__: probe for probe in (empty, serves, streams, scraped)}
        probes[sys.argv[1]](GRPCInferenceServiceStub(channel))  # type: ignore[no-untyped-call]  # generated
