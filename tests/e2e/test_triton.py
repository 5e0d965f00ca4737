"""Unmodified tritonclient against a real server: synchronous calls, streams and asyncio."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from models.loading import load_checked
from models.repository import Repository
from tests.zoo import ledger_answers

pytestmark = pytest.mark.e2e

Triton = Callable[[str], Any]


def test_calls_continue_a_sequence_and_what_has_ended_is_gone(triton: Triton):
    first, second, third, ended, other_type, unknown = triton("unary")
    expected = ledger_answers([1, 2, 3, 4, 5])
    assert [first["y"], second["y"], third["y"]] == [expected[:2], expected[2:3], expected[3:]]
    assert [first["step"], second["step"], third["step"]] == [2, 3, 5]
    assert [first["id"], second["id"]] == ["r0", "r1"]
    assert ended[0] == "StatusCode.NOT_FOUND"
    assert ended[1].startswith("[request id: late] NOT_FOUND SEQUENCE_GONE: sequence 7 of model 'ledger' has ended")
    assert "sequence '7'" in other_type[1]
    assert "is unknown here" in other_type[1]
    assert "sequence 8" in unknown[1]


def test_a_stream_keeps_the_order_of_every_sequence_and_stays_open_after_an_error(triton: Triton):
    talk = triton("stream")
    for sequence in range(1, 21):
        answers = ledger_answers([sequence * 100 + step for step in range(10)])
        assert [talk["received"][f"{sequence}:{step}"] for step in range(10)] == [[answer] for answer in answers]
        assert talk["orders"][str(sequence)] == list(range(10))
    assert talk["error"].startswith("[request id: gone] NOT_FOUND SEQUENCE_GONE: sequence 's1'")
    assert talk["after"] == {"id": "again", "y": ledger_answers([1]), "step": 1}


def test_calls_of_one_sequence_under_way_at_once_are_done_one_after_another(triton: Triton):
    assert triton("many_at_once") == ledger_answers([0] + [9] * 50)[1:]


def test_steps_chunks_and_a_whole_sequence_answer_with_the_same_bits(triton: Triton, zoo_repository: Repository):
    talk = triton("lstm")
    runner = load_checked(zoo_repository, zoo_repository.find("lstm")).runner
    xs = np.random.default_rng(0).standard_normal((1, 12, 32)).astype(np.float32)
    states = {name: np.zeros((1, 128), np.float32) for name in ("state.h", "state.c")}
    expected = runner.run({"x": xs}, np.array([12]), states)[0]["y"][0].tolist()
    assert talk["steps"] == expected
    assert talk["chunks"] == expected
    forwards, backwards = talk["whole"]
    assert forwards == expected
    assert backwards != expected


def test_server_and_models_describe_themselves(triton: Triton):
    triton("unary")
    told = triton("described")
    assert told["live"]
    assert told["ready"]
    assert told["model_ready"] == [True, False, False]
    assert told["inputs"] == [["x", "FP32", [-1, -1, 32]]]
    assert told["max_batch_size"] == 256
    assert told["sequence_batching"]
    assert told["parameters"] == ["batch_invariant", "digest", "kind"]
    assert told["steps"] >= 5
    states = {name: (state, reason) for name, _, state, reason in told["index"]}
    assert states["lstm"] == ("READY", "")
    assert states["damaged"][0] == "UNAVAILABLE"
    assert "model.onnx is not the file that was published" in states["damaged"][1]
    assert states["forgetful"][0] == "UNAVAILABLE"
