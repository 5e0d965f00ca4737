"""Messages that nobody should send: each is refused with a sentence, costs no memory, and no batch mate notices."""

import random
import re
from collections.abc import Callable, Iterator

import grpc
import numpy as np
import pytest
from google.protobuf import descriptor_pool
from grpc_health.v1.health import SERVICE_NAME as HEALTH
from grpc_reflection.v1alpha.reflection import SERVICE_NAME as REFLECTION

from demo.serving import Serving
from server.pb import grpc_service_pb2 as pb
from server.pb import grpc_service_pb2_grpc as stubs
from tests.faults.conftest import SCALE, resident_bytes
from tests.wire import SECONDS, ask, ask_many, output, position, refused, tensor, values
from tests.zoo import ledger_answers

pytestmark = pytest.mark.e2e

Calls = stubs.GRPCInferenceServiceStub
SERVICE_NAME = "inference.GRPCInferenceService"
INFER = f"/{SERVICE_NAME}/ModelInfer"
# What a client must never read: a trace, an exception's or a module's name, a path, an address in memory.
INTERNAL = re.compile(r"Traceback|Error\b|Exception|\.py|onnxruntime|/\w+/|0x[0-9a-f]{6}|numpy|protobuf")


def huge(message: pb.ModelInferRequest) -> None:
    message.inputs[0].shape[:] = [2**31, 2**31]


def overflowing(message: pb.ModelInferRequest) -> None:
    message.inputs[0].shape[:] = [2**62, 4]


def negative(message: pb.ModelInferRequest) -> None:
    message.inputs[0].shape[:] = [-1, -1]


def short(message: pb.ModelInferRequest) -> None:
    message.raw_input_contents[0] = b"1234567"


def typeless(message: pb.ModelInferRequest) -> None:
    message.inputs[0].datatype = "INT65"


def other_type(message: pb.ModelInferRequest) -> None:
    message.inputs[0].datatype = "FP64"


def ranked(message: pb.ModelInferRequest) -> None:
    message.inputs[0].shape[:] = [1] * 1000


def flat(message: pb.ModelInferRequest) -> None:
    message.inputs[0].shape[:] = [1]


def renamed(message: pb.ModelInferRequest) -> None:
    message.inputs[0].name = "z"


def missing(message: pb.ModelInferRequest) -> None:
    del message.inputs[:], message.raw_input_contents[:]


def extra(message: pb.ModelInferRequest) -> None:
    tensor(message, "z", np.zeros((1, 1), np.int64))


def twice(message: pb.ModelInferRequest) -> None:
    tensor(message, "x", np.zeros((1, 1), np.int64))


def many_names(message: pb.ModelInferRequest) -> None:
    for number in range(2000):
        message.inputs.add(name=f"x{number}")


def typed_and_raw(message: pb.ModelInferRequest) -> None:
    message.inputs[0].contents.int64_contents.append(1)


def no_steps(message: pb.ModelInferRequest) -> None:
    message.inputs[0].shape[:] = [1, 0]
    message.raw_input_contents[0] = b""


def no_rows(message: pb.ModelInferRequest) -> None:
    message.inputs[0].shape[:] = [0, 1]
    message.raw_input_contents[0] = b""


def length(of: int) -> Callable[[pb.ModelInferRequest], None]:
    return lambda message: tensor(message, "lengths", np.array([of]))


BROKEN: dict[str, Callable[[pb.ModelInferRequest], None]] = {
    "2^31 by 2^31": huge,
    "a product that overflows": overflowing,
    "negative": negative,
    "bytes that do not fit": short,
    "no such type": typeless,
    "another type": other_type,
    "a thousand axes": ranked,
    "an axis too few": flat,
    "another name": renamed,
    "no input": missing,
    "an input too many": extra,
    "a tensor twice": twice,
    "thousands of tensors": many_names,
    "typed and raw": typed_and_raw,
    "no steps": no_steps,
    "no rows": no_rows,
    "length 0": length(0),
    "length 2 of 1": length(2),
    "length -1": length(-1),
    "length of 64 bits": length(2**63 - 1),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_tensor_costs_no_memory_moves_no_state_and_fails_alone(server: Serving, calls: Calls, case: str):
    bad = ask("broken", [3], name="bad")
    BROKEN[case](bad)
    calls.ModelInfer(ask("broken", [1], start=True))
    calls.ModelInfer(ask("mate", [1], start=True))
    warm = list(calls.ModelStreamInfer(iter([bad] * 200)))
    before = resident_bytes(server)
    requests = [bad, ask("mate", [2], name="good")] * 100
    answers = list(calls.ModelStreamInfer(iter(requests), timeout=SECONDS))
    errors = {answer.error_message for answer in answers if answer.infer_response.id == "bad"}
    good = [answer.infer_response for answer in answers if answer.infer_response.id == "good"]
    assert len(errors) == 1
    assert errors == {answer.error_message for answer in warm}
    assert errors.pop().startswith("[request id: bad] INVALID_ARGUMENT INVALID_REQUEST: ")
    assert [values(answer)[0] for answer in good] == ledger_answers([1] + [2] * 100)[1:]
    assert resident_bytes(server) - before < 2**20
    assert position(calls.ModelInfer(ask("broken", [2]))) == 2


def test_rows_of_wrong_lengths_fail_alone_in_their_request_and_stay_where_they_were(calls: Calls):
    lengths = np.array([2, 0, -1, 3, 2**62, 1])
    ids, xs, flags = range(921, 927), np.full((6, 2), 3), np.array([True] * 6)
    calls.ModelInfer(ask_many(ids, xs[:, :1], sequence_start=flags))
    answer = calls.ModelInfer(ask_many(ids, xs, lengths=lengths))
    assert output(answer, "sequence_status").tolist() == [0, 3, 3, 3, 3, 0]
    assert output(answer, "recur_step").tolist() == [3, 0, 0, 0, 0, 2]
    assert output(answer)[0].tolist() == ledger_answers([3] * 3)[1:]
    after = calls.ModelInfer(ask_many(ids, xs[:, :1]))
    assert output(after, "recur_step").tolist() == [4, 2, 2, 2, 2, 3]
    assert output(after)[1].tolist() == ledger_answers([3] * 2)[1:]


def test_what_is_not_finite_is_never_kept_and_fails_alone(calls: Calls):
    good, begin = np.full((1, 32), 0.5, np.float32), np.zeros((1, 32), np.float32)
    for sequence in ("finite", "infinite", "reference"):
        calls.ModelInfer(ask(sequence, begin, model="lstm", start=True))
    expected = output(calls.ModelInfer(ask("reference", good, model="lstm")))
    for value in (np.nan, np.inf, -np.inf):
        with refused("INVALID_ARGUMENT NOT_FINITE"):
            calls.ModelInfer(ask("infinite", np.full((1, 32), value, np.float32), model="lstm"))
    bad = ask("infinite", np.full((1, 32), np.nan, np.float32), model="lstm", name="bad")
    mate = ask("finite", good, model="lstm", name="good")
    answers = {one.infer_response.id: one for one in calls.ModelStreamInfer(iter([bad, mate]))}
    assert "NOT_FINITE" in answers["bad"].error_message
    np.testing.assert_array_equal(output(answers["good"].infer_response), expected)
    after = calls.ModelInfer(ask("infinite", good, model="lstm"))
    assert position(after) == 2
    np.testing.assert_array_equal(output(after), expected)


def test_a_state_that_becomes_infinite_of_finite_inputs_is_kept_only_where_the_model_allows_it(calls: Calls):
    largest, one = np.full((1, 1), 3e38, np.float32), np.ones((1, 1), np.float32)
    for model in ("overflow", "overflow_allowed"):
        for sequence in ("grows", "mate"):
            calls.ModelInfer(ask(sequence, largest if sequence == "grows" else one, model=model, start=True))
    requests = [ask("grows", largest, model="overflow", name="bad"), ask("mate", one, model="overflow", name="good")]
    answers = {one.infer_response.id: one for one in calls.ModelStreamInfer(iter(requests))}
    assert " INVALID_ARGUMENT NOT_FINITE: " in answers["bad"].error_message
    assert output(answers["good"].infer_response).item() == np.float32(np.tanh(2.0))
    assert position(calls.ModelInfer(ask("grows", one, model="overflow"))) == 2
    assert position(calls.ModelInfer(ask("grows", largest, model="overflow_allowed"))) == 2
    again = calls.ModelInfer(ask("grows", -largest, model="overflow_allowed"))
    assert (position(again), output(again).item()) == (3, 1.0), "it was kept"


def test_rows_that_are_not_finite_fail_alone_in_their_request(calls: Calls):
    begin = np.zeros((3, 1, 32), np.float32)
    flags = np.array([True] * 3)
    calls.ModelInfer(ask_many([901, 902, 903], begin, model="lstm", sequence_start=flags))
    bad = np.full((3, 1, 32), 0.5, np.float32)
    bad[1, 0, 3] = np.nan
    answer = calls.ModelInfer(ask_many([901, 902, 903], bad, model="lstm"))
    assert output(answer, "sequence_status").tolist() == [0, 3, 0]
    assert output(answer, "recur_step").tolist() == [2, 1, 2]
    assert not output(answer)[1].any()
    bad[1] = 0.5
    again = calls.ModelInfer(ask_many([902], bad[1:2], model="lstm"))
    np.testing.assert_array_equal(output(again)[0], output(answer)[0])


def garbage(pick: random.Random) -> Iterator[bytes]:
    """Bytes that are no message, near one, or one with text that is not text."""
    good = ask("garbage", [1], start=True, name="name").SerializeToString()
    yield b"\xff" * 20
    yield good[:-1]
    yield good.replace(b"ledger", b"\xff\xfe\xfddge")
    yield good.replace(b"name", b"\xff\xfe\xfd\xfc")
    yield good.replace(b"garbage", b"\xff\xfe\xfdbage")
    yield b"\x0a\xff\xff\xff\xff\x0f" + good
    for _ in range(300 * SCALE):
        bent = bytearray(good)
        for _ in range(pick.randrange(1, 4)):
            bent[pick.randrange(len(bent))] = pick.randrange(256)
        yield bytes(bent[: pick.randrange(1, len(bent) + 1)])


def told(infer: Callable[..., bytes], data: bytes) -> tuple[grpc.StatusCode, str]:
    """What a client is told of some bytes."""
    try:
        infer(data, timeout=SECONDS)
    except grpc.RpcError as error:
        return error.code(), error.details() or ""
    return grpc.StatusCode.OK, ""


def test_bytes_that_are_no_message_are_refused_without_an_exceptions_text(
    server: Serving, calls: Calls, healthy: Callable[[], None], seed: int
):
    with grpc.insecure_channel(server.listen) as channel:
        infer = channel.unary_unary(INFER)
        stream = channel.stream_stream(INFER.replace("ModelInfer", "ModelStreamInfer"))
        for data in garbage(random.Random(seed)):
            code, text = told(infer, data)
            assert code not in (grpc.StatusCode.UNKNOWN, grpc.StatusCode.INTERNAL), (data, text)
            assert not INTERNAL.search(text), (data, text)
        answers = [pb.ModelStreamInferResponse.FromString(one) for one in stream(garbage(random.Random(seed)))]
    assert len(answers) == len(list(garbage(random.Random(seed))))
    for answer in answers:
        assert not INTERNAL.search(answer.error_message), answer.error_message
        assert "INTERNAL" not in answer.error_message
    healthy()


@pytest.mark.parametrize("service", [SERVICE_NAME, HEALTH, REFLECTION])
def test_bytes_that_are_no_message_are_refused_by_every_method_of_the_port(server: Serving, service: str):
    described = descriptor_pool.Default().FindServiceByName(service)
    with grpc.insecure_channel(server.listen) as channel:
        for method in described.methods:
            if method.name == "ModelStreamInfer":
                continue  # its errors are messages
            call = channel.stream_stream(f"/{service}/{method.name}")(iter([b"\xff" * 20]), timeout=SECONDS)
            assert call.code() == grpc.StatusCode.INVALID_ARGUMENT, (method.name, call.details())
            assert (
                call.details() == f"INVALID_ARGUMENT INVALID_REQUEST: the bytes are not a {method.input_type.full_name}"
            )


def test_a_message_over_the_limit_is_refused(server: Serving, healthy: Callable[[], None]):
    with grpc.insecure_channel(server.listen, [("grpc.max_send_message_length", -1)]) as channel:
        with pytest.raises(grpc.RpcError) as failure:
            channel.unary_unary(INFER)(bytes(65 * 2**20), timeout=SECONDS)
        assert failure.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
    healthy()


def test_a_message_of_more_than_64_mib_is_refused(server: Serving, healthy: Callable[[], None]):
    with grpc.insecure_channel(server.listen) as channel:
        code, text = told(channel.unary_unary(INFER), bytes(64 * 2**20 + 1))
    assert code is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert text == "SERVER: Received message larger than max (67108865 vs. 67108864)"
    healthy()


@pytest.mark.grpcio
def test_metadata_of_64_kib_is_refused(calls: Calls, healthy: Callable[[], None]):
    with pytest.raises(grpc.RpcError) as failure:
        calls.ModelInfer(ask("metadata", [1], start=True), metadata=[("x-filler", "x" * 65536)], timeout=SECONDS)
    assert failure.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
    with refused("NOT_FOUND SEQUENCE_GONE"):
        calls.ModelInfer(ask("metadata", [1]))
    healthy()


def test_padding_that_is_not_finite_is_never_read(calls: Calls):
    xs = np.full((2, 3, 32), np.nan, np.float32)
    xs[0, :3], xs[1, :1] = 0.5, 0.25
    flags = np.array([True, True])
    begin = ask_many([911, 912], xs, model="lstm", sequence_start=flags, lengths=np.array([3, 1]))
    answer = calls.ModelInfer(begin)
    assert output(answer, "sequence_status").tolist() == [0, 0]
    alone = output(calls.ModelInfer(ask(None, xs[1, :1], model="lstm")))
    np.testing.assert_array_equal(output(answer)[1, :1], alone[0])
    assert not output(answer)[1, 1:].any()
