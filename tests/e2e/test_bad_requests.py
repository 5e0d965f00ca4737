"""Requests that break the protocol: each is refused with a sentence, and nobody else notices."""

from collections.abc import Callable

import grpc
import numpy as np
import pytest

from demo.serving import Serving
from server.pb import grpc_service_pb2 as pb
from server.pb import grpc_service_pb2_grpc as stubs
from tests.zoo import ledger_answers

pytestmark = pytest.mark.e2e

Calls = stubs.GRPCInferenceServiceStub
Change = Callable[[pb.ModelInferRequest], object]


def request(model: str = "lstm", shape: tuple[int, ...] = (1, 1, 32), dtype: str = "FP32") -> pb.ModelInferRequest:
    message = pb.ModelInferRequest(model_name=model, id="bad")
    message.inputs.add(name="x", datatype=dtype, shape=shape)
    size = 8 if dtype == "INT64" else 4
    message.raw_input_contents.append(bytes(size * int(np.prod([max(axis, 0) for axis in shape]))))
    return message


def extra(message: pb.ModelInferRequest, name: str, dtype: str, values: np.ndarray) -> None:
    message.inputs.add(name=name, datatype=dtype, shape=values.shape)
    message.raw_input_contents.append(values.tobytes())


def huge(message: pb.ModelInferRequest) -> None:
    message.inputs[0].shape[:] = [2**31, 2**31, 32]


BAD: dict[str, tuple[Change, str, tuple[str, ...]]] = {
    "unknown model": (lambda m: setattr(m, "model_name", "nobody"), "NOT_FOUND", ("no model 'nobody'", "'lstm'")),
    "unknown version": (lambda m: setattr(m, "model_version", "9"), "NOT_FOUND", ("no version '9'", "there is 1")),
    "damaged model": (lambda m: setattr(m, "model_name", "damaged"), "UNAVAILABLE", ("model.onnx",)),
    "other golden answers": (lambda m: setattr(m, "model_name", "forgetful"), "UNAVAILABLE", ("does not serve",)),
    "wrong name": (lambda m: setattr(m.inputs[0], "name", "z"), "INVALID_ARGUMENT", ("'z'", "x, lengths")),
    "missing": (lambda m: (m.inputs.pop(), m.raw_input_contents.pop()), "INVALID_ARGUMENT", ("'x' is missing", "FP32")),
    "extra": (lambda m: extra(m, "z", "FP32", np.zeros(1)), "INVALID_ARGUMENT", ("'z' is not one of the model's",)),
    "dtype": (lambda m: setattr(m.inputs[0], "datatype", "FP64"), "INVALID_ARGUMENT", ("'x' is FP64", "FP32")),
    "rank": (lambda m: m.inputs[0].shape.pop(), "INVALID_ARGUMENT", ("'x' has shape [1, 1]", "[batch, time, 32]")),
    "bytes": (lambda m: m.raw_input_contents.__setitem__(0, b"1234"), "INVALID_ARGUMENT", ("'x' has 4 bytes", "128")),
    "huge": (huge, "INVALID_ARGUMENT", ("'x' has 128 bytes",)),
    "zero rows": (lambda m: m.inputs[0].shape.__setitem__(0, 0), "INVALID_ARGUMENT", ("'x' has shape [0, 1, 32]",)),
    "zero steps": (lambda m: m.inputs[0].shape.__setitem__(1, 0), "INVALID_ARGUMENT", ("'x' has shape [1, 0, 32]",)),
    "length 0": (lambda m: extra(m, "lengths", "INT64", np.array([0])), "INVALID_ARGUMENT", ("'lengths'", "from 1")),
    "length 2": (lambda m: extra(m, "lengths", "INT64", np.array([2])), "INVALID_ARGUMENT", ("'lengths'", "time")),
    "recur_step": (
        lambda m: m.parameters["recur_step"].CopyFrom(pb.InferParameter(int64_param=0)),
        "INVALID_ARGUMENT", ("'recur_step' needs a sequence_id",),
    ),
    "rows": (
        lambda m: extra(m, "sequence_id", "INT64", np.array([1, 2])), "INVALID_ARGUMENT", ("2 values for 1 rows",),
    ),
    "flags of no rows": (
        lambda m: extra(m, "sequence_end", "BOOL", np.array([True])), "INVALID_ARGUMENT", ("'sequence_end' needs",),
    ),
    "a parameter to come": (
        lambda m: m.parameters["recur_whatever"].CopyFrom(pb.InferParameter(bool_param=True)),
        "INVALID_ARGUMENT", ("'recur_whatever' is not served",),
    ),
    "start alone": (
        lambda m: m.parameters["sequence_start"].CopyFrom(pb.InferParameter(bool_param=True)),
        "INVALID_ARGUMENT", ("needs a sequence_id",),
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_a_bad_request_is_refused_by_call_and_on_a_stream_which_stays_open(calls: Calls, case: str):
    change, code, words = BAD[case]
    message = request()
    change(message)
    with pytest.raises(grpc.RpcError) as failure:
        calls.ModelInfer(message)
    assert failure.value.code() == grpc.StatusCode[code]
    text = failure.value.details()
    assert text.startswith(f"[request id: bad] {code} ")
    assert all(word in text for word in words), text
    assert not any(word in text for word in ("Traceback", "Error", "/", "onnxruntime"))
    good = request()
    bad, answer = list(calls.ModelStreamInfer(iter([message, good])))
    assert bad.error_message == text
    assert bad.infer_response.parameters["recur_code"].string_param == code
    assert answer.error_message == ""
    assert answer.infer_response.outputs[0].shape == [1, 1, 32]


def test_bytes_that_are_no_message_are_refused_without_an_exceptions_text(server: Serving):
    with grpc.insecure_channel(server.listen) as channel:
        call = channel.unary_unary("/inference.GRPCInferenceService/ModelInfer")
        with pytest.raises(grpc.RpcError) as failure:
            call(b"\xff\xff\xff")
    assert failure.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert failure.value.details() == (
        "INVALID_ARGUMENT INVALID_REQUEST: the bytes are not a inference.ModelInferRequest"
    )


def step(model: str, sequence: int, values: np.ndarray, *, start: bool = False) -> pb.ModelInferRequest:
    message = pb.ModelInferRequest(model_name=model, id=str(sequence))
    message.parameters["sequence_id"].int64_param = sequence
    message.parameters["sequence_start"].bool_param = start
    extra(message, "x", "INT64" if values.dtype == np.int64 else "FP32", values)
    return message


def test_an_index_outside_the_table_fails_alone_and_leaves_its_sequence_as_it_was(calls: Calls):
    indices = {1: 0, 2: 99, 3: 3}
    begin = [step("lookup", sequence, np.array([[1]]), start=True) for sequence in indices]
    together = [step("lookup", sequence, np.array([[index]])) for sequence, index in indices.items()]
    list(calls.ModelStreamInfer(iter(begin)))
    answers = {answer.infer_response.id: answer for answer in calls.ModelStreamInfer(iter(together))}
    assert "MODEL_REFUSED" in answers["2"].error_message
    assert [np.frombuffer(answers[id_].infer_response.raw_output_contents[0], np.float32)[0] for id_ in "13"] == [1, 4]
    again = calls.ModelInfer(step("lookup", 2, np.array([[2]])))
    assert again.parameters["recur_step"].int64_param == 2


def test_an_infinite_next_state_is_not_kept(calls: Calls):
    large = np.full((1, 1, 1), 3e38, np.float32)
    calls.ModelInfer(step("overflow", 1, large, start=True))
    with pytest.raises(grpc.RpcError) as failure:
        calls.ModelInfer(step("overflow", 1, large))
    assert "NOT_FINITE" in failure.value.details()
    answer = calls.ModelInfer(step("overflow", 1, -large))
    assert np.frombuffer(answer.raw_output_contents[0], np.float32)[0] == 0
    assert answer.parameters["recur_step"].int64_param == 2


def test_start_on_a_live_sequence_begins_it_anew(calls: Calls):
    for _ in range(2):
        answer = calls.ModelInfer(step("ledger", 77, np.array([[5, 6]]), start=True))
        assert np.frombuffer(answer.raw_output_contents[0], np.int64).tolist() == ledger_answers([5, 6])
        assert answer.parameters["recur_step"].int64_param == 2


def test_typed_contents_are_answered_like_raw_ones(calls: Calls):
    message = pb.ModelInferRequest(model_name="ledger")
    message.inputs.add(name="x", datatype="INT64", shape=[1, 3]).contents.int64_contents.extend([7, 8, 9])
    answer = calls.ModelInfer(message)
    assert np.frombuffer(answer.raw_output_contents[0], np.int64).tolist() == ledger_answers([7, 8, 9])


def test_an_error_of_a_call_carries_its_reason_in_the_status_details(calls: Calls):
    from google.rpc.error_details_pb2 import ErrorInfo
    from grpc_status import rpc_status

    with pytest.raises(grpc.RpcError) as failure:
        calls.ModelInfer(request("nobody"))
    info = ErrorInfo()
    assert rpc_status.from_call(failure.value).details[0].Unpack(info)
    assert (info.reason, info.domain) == ("MODEL_NOT_FOUND", "recur")
