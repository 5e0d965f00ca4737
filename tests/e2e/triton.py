"""tritonclient at work, in a process of its own, since it registers the same messages as the server's stubs.

`python -m tests.e2e.triton CONVERSATION ADDRESS` prints what the server answered, as JSON.
"""

import asyncio
import json
import queue
import sys
from typing import Any

import numpy as np
import tritonclient.grpc as triton
import tritonclient.grpc.aio as triton_aio
from tritonclient.utils import InferenceServerException

SECONDS = 20


def symbols(*values: int) -> list[triton.InferInput]:
    """One chunk of the ledger's inputs."""
    x = triton.InferInput("x", [1, len(values)], "INT64")
    x.set_data_from_numpy(np.array([values], np.int64))
    return [x]


def floats(array: np.ndarray) -> list[triton.InferInput]:
    x = triton.InferInput("x", list(array.shape), "FP32")
    x.set_data_from_numpy(array)
    return [x]


def told(result: Any) -> dict[str, Any]:
    """What a test wants to know of an answer."""
    response = result.get_response()
    values = result.as_numpy("y").ravel().tolist()
    return {"id": response.id, "y": values, "step": response.parameters["recur_step"].int64_param}


def refused(error: InferenceServerException) -> str:
    return str(error.message())


def unary(address: str) -> list[Any]:
    """One sequence by calls, then steps of what is no longer there."""
    with triton.InferenceServerClient(address) as client:
        steps = [
            ({"sequence_start": True}, (1, 2)),
            ({}, (3,)),
            ({"sequence_end": True}, (4, 5)),
        ]
        answers: list[Any] = [
            told(client.infer("ledger", symbols(*values), sequence_id=7, request_id=f"r{i}", **flags))
            for i, (flags, values) in enumerate(steps)
        ]
        for sequence in (7, "7", 8):
            try:
                client.infer("ledger", symbols(1), sequence_id=sequence, request_id="late")
            except InferenceServerException as error:
                answers.append([error.status(), refused(error)])
        return answers


def stream(address: str) -> dict[str, Any]:
    """Twenty sequences on one stream, none waiting for an answer; then an error, after which the stream goes on."""
    answers: queue.Queue[Any] = queue.Queue()
    received: dict[str, Any] = {}
    with triton.InferenceServerClient(address) as client:
        client.start_stream(lambda result, error: answers.put((result, error)))
        for step in range(10):
            for sequence in range(1, 21):
                client.async_stream_infer(
                    "ledger",
                    symbols(sequence * 100 + step),
                    sequence_id=f"s{sequence}",
                    request_id=f"{sequence}:{step}",
                    sequence_start=step == 0,
                    sequence_end=step == 9,
                )
        in_order: dict[str, list[int]] = {}
        for _ in range(200):
            answer = told(answers.get(timeout=SECONDS)[0])
            sequence, step = answer["id"].split(":")
            in_order.setdefault(sequence, []).append(int(step))
            received[answer["id"]] = answer["y"]
        client.async_stream_infer("ledger", symbols(1), sequence_id="s1", request_id="gone")
        _, error = answers.get(timeout=SECONDS)
        client.async_stream_infer("ledger", symbols(1), sequence_id="s1", request_id="again", sequence_start=True)
        result, _ = answers.get(timeout=SECONDS)
        client.stop_stream()
    return {"received": received, "orders": in_order, "error": refused(error), "after": told(result)}


def many_at_once(address: str) -> list[int]:
    """Fifty unary calls of one sequence under way at once: the server keeps their order of arrival."""

    async def talk() -> list[int]:
        async with triton_aio.InferenceServerClient(address) as client:
            await client.infer("ledger", symbols(0), sequence_id=5, sequence_start=True)
            calls = [client.infer("ledger", symbols(9), sequence_id=5) for _ in range(50)]
            answers = [told(result) for result in await asyncio.gather(*calls)]
            return [answer["y"][0] for answer in sorted(answers, key=lambda answer: int(answer["step"]))]

    return asyncio.run(talk())


def lstm(address: str) -> dict[str, Any]:
    """A real-valued sequence: step by step on an aio stream, in chunks by calls, and whole without a sequence."""
    xs = np.random.default_rng(0).standard_normal((1, 12, 32)).astype(np.float32)

    async def steps() -> list[list[float]]:
        async with triton_aio.InferenceServerClient(address) as client:

            async def requests() -> Any:
                for t in range(12):
                    x = floats(xs[:, t : t + 1])
                    yield {
                        "model_name": "lstm", "inputs": x, "sequence_id": 3, "sequence_start": t == 0,
                        "sequence_end": t == 11,
                    }  # fmt: skip

            answers = client.stream_infer(requests())
            return [result.as_numpy("y")[0, 0].tolist() async for result, _ in answers]

    with triton.InferenceServerClient(address) as client:
        bounds = [(0, 5), (5, 6), (6, 12)]
        chunks = [
            client.infer("lstm", floats(xs[:, a:b]), sequence_id=4, sequence_start=a == 0, sequence_end=b == 12)
            for a, b in bounds
        ]
        whole = client.infer("lstm", floats(np.concatenate([xs, xs[:, ::-1]])))
    return {
        "steps": asyncio.run(steps()),
        "chunks": np.concatenate([chunk.as_numpy("y")[0] for chunk in chunks]).tolist(),
        "whole": whole.as_numpy("y").tolist(),
    }


def described(address: str) -> dict[str, Any]:
    """What a client may ask of server and models."""
    with triton.InferenceServerClient(address) as client:
        config = client.get_model_config("lstm").config
        metadata = client.get_model_metadata("lstm")
        statistics = client.get_inference_statistics("ledger").model_stats[0]
        return {
            "live": client.is_server_live(),
            "ready": client.is_server_ready(),
            "model_ready": [client.is_model_ready(name) for name in ("lstm", "nobody", "damaged")],
            "extensions": list(client.get_server_metadata().extensions),
            "inputs": [[tensor.name, tensor.datatype, list(tensor.shape)] for tensor in metadata.inputs],
            "max_batch_size": config.max_batch_size,
            "sequence_batching": config.HasField("sequence_batching"),
            "parameters": sorted(config.parameters),
            "steps": statistics.inference_count,
            "index": [[m.name, m.version, m.state, m.reason] for m in client.get_model_repository_index().models],
        }


def controlled(address: str) -> list[Any]:
    """Load and unload a model; what does not work is told."""
    told: list[Any] = []
    with triton.InferenceServerClient(address) as client:
        for attempt in (
            lambda: client.load_model("ledger"),
            lambda: told.append(client.is_model_ready("ledger")),
            lambda: client.infer("ledger", symbols(1), sequence_id=7, sequence_start=True),
            lambda: client.unload_model("ledger", unload_dependents=True),
            lambda: told.append(client.is_model_ready("ledger")),
            lambda: client.load_model("ledger", config="{}"),
            lambda: client.load_model("ledger", config="{}", files={"file:1/model.onnx": b"graph"}),
            lambda: client.load_model("missing"),
            lambda: client.load_model("damaged"),
        ):
            try:
                attempt()
            except InferenceServerException as error:
                told.append([error.status(), refused(error)])
        index = client.get_model_repository_index()
        told.append({model.name: model.state for model in index.models})
    return told


def generation(address: str) -> dict[str, Any]:
    """Let a model of characters write after a prompt of text."""
    answers: queue.Queue[Any] = queue.Queue()
    x = triton.InferInput("x", [1, 4], "BYTES")
    x.set_data_from_numpy(np.array([[character.encode() for character in "cafe"]], object))
    with triton.InferenceServerClient(address) as client:
        client.start_stream(lambda result, error: answers.put((result, error)))
        how = {"recur_max_steps": 6, "recur_seed": 2}
        client.async_stream_infer("characters", [x], sequence_id=9, sequence_start=True, parameters=how)
        came = []
        while not came or not came[-1].get_response().parameters["triton_final_response"].bool_param:
            result, error = answers.get(timeout=SECONDS)
            assert error is None, error
            came.append(result)
        client.stop_stream()
    parameters = [result.get_response().parameters for result in came]
    return {
        "text": b"".join(result.as_numpy("y").item() for result in came).decode(),
        "final": [one["triton_final_response"].bool_param for one in parameters],
        "reason": parameters[-1]["recur_finish_reason"].string_param,
    }


CONVERSATIONS = {talk.__name__: talk for talk in (unary, stream, many_at_once, lstm, described, controlled, generation)}

if __name__ == "__main__":
    json.dump(CONVERSATIONS[sys.argv[1]](sys.argv[2]), sys.stdout)
