"""Models with graphs beside their main one, served: a start begins, a step is quicker, a peek answers."""

from collections.abc import Iterator

import grpc
import numpy as np
import pytest

from demo.serving import serving
from models.loading import CheckedModel, load_checked
from models.repository import Repository
from server.pb import grpc_service_pb2 as pb
from server.pb import grpc_service_pb2_grpc as stubs
from tests import zoo, zoo_roles
from tests.wire import ask, output, position, refused, replayed, tensor

pytestmark = pytest.mark.e2e

RANDOM = np.random.default_rng(5)
X = RANDOM.normal(size=(6, 3)).astype(np.float32)
SOURCES = [RANDOM.normal(size=(size, 5)).astype(np.float32) for size in (2, 7)]
MODELS = {"decoder": zoo_roles.annotations(), "memory": zoo_roles.memory(), "leaky": zoo_roles.leaky()}


@pytest.fixture(scope="module")
def loaded(tmp_path_factory) -> tuple[Repository, dict[str, CheckedModel]]:
    repository = Repository(tmp_path_factory.mktemp("roles"))
    places = {name: zoo.publish(repository, name, model) for name, model in MODELS.items()}
    return repository, {name: load_checked(repository, place) for name, place in places.items()}


@pytest.fixture(scope="module", params=["--max-state-bytes", "--max-total-state-bytes"])
def calls(loaded, request) -> Iterator[stubs.GRPCInferenceServiceStub]:
    with (
        serving(loaded[0].root, request.param, "8KiB") as server,
        grpc.insecure_channel(server.listen) as channel,
    ):
        yield stubs.GRPCInferenceServiceStub(channel)


def decoded(loaded, source: np.ndarray, xs: np.ndarray) -> np.ndarray:
    """Answer a whole sequence as the graphs do, alone."""
    model = loaded[1]["decoder"]
    states = {name: row[None] for name, row in model.initial.items()} | model.runner.start({"source": source[None]})
    return model.runner.run({"x": xs[None]}, np.array([len(xs)]), states)[0]["y"][0]


def begin(name: str, source: np.ndarray | None, xs: np.ndarray | None = None, **options) -> pb.ModelInferRequest:
    message = ask(name, X[:1] if xs is None else xs, model="decoder", start=True, **options)
    if xs is None:
        del message.inputs[:], message.raw_input_contents[:]
    if source is not None:
        tensor(message, "source", source[None])
    return message


def test_a_start_makes_the_state_and_its_first_steps_go_on_from_it(calls, loaded):
    for number, source in enumerate(SOURCES):
        answers = [output(calls.ModelInfer(begin(f"a{number}", source, X[:2])))]
        answers += [output(calls.ModelInfer(ask(f"a{number}", X[2:3], model="decoder")))]
        answers += [output(calls.ModelInfer(ask(f"a{number}", X[3:], model="decoder", end=True)))]
        np.testing.assert_array_equal(np.concatenate(answers, axis=1)[0], decoded(loaded, source, X))


def test_a_start_may_come_without_steps_and_again_and_has_no_outputs(calls, loaded):
    first = calls.ModelInfer(begin("b", SOURCES[0], step=0))
    assert (list(first.outputs), position(first), replayed(first)) == ([], 0, False)
    again = calls.ModelInfer(begin("b", SOURCES[0], step=0))
    assert (list(again.outputs), position(again), replayed(again)) == ([], 0, True)
    with refused("ALREADY_EXISTS SEQUENCE_EXISTS"):
        calls.ModelInfer(begin("b", SOURCES[1], step=0))
    answer = calls.ModelInfer(ask("b", X, model="decoder", step=0, end=True))
    assert position(answer) == len(X)
    np.testing.assert_array_equal(output(answer)[0], decoded(loaded, SOURCES[0], X))


def test_a_whole_sequence_that_is_not_kept_begins_with_its_source_too(calls, loaded):
    message = ask(None, X, model="decoder")
    tensor(message, "source", SOURCES[1][None])
    np.testing.assert_array_equal(output(calls.ModelInfer(message))[0], decoded(loaded, SOURCES[1], X))


def test_rows_of_one_request_begin_and_go_on_together_and_a_row_without_its_start_is_refused_alone(calls, loaded):
    calls.ModelInfer(begin("c0", SOURCES[0], X[:2]))
    message = pb.ModelInferRequest(model_name="decoder")
    tensor(message, "x", np.stack([X[2:4], X[:2], X[:2]]))
    tensor(message, "source", np.stack([SOURCES[1]] * 3))
    tensor(message, "sequence_id", [b"c0", b"c1", b"c2"])
    tensor(message, "sequence_start", np.array([False, True, False]))
    answer = calls.ModelInfer(message)
    assert output(answer, "sequence_status").tolist() == [0, 0, grpc.StatusCode.NOT_FOUND.value[0]]
    np.testing.assert_array_equal(output(answer)[0], decoded(loaded, SOURCES[0], X[:4])[2:])
    np.testing.assert_array_equal(output(answer)[1], decoded(loaded, SOURCES[1], X[:2]))
    del message.inputs[1], message.raw_input_contents[1]
    message.inputs[1].name, message.raw_input_contents[1] = (
        "sequence_id",
        b"".join(len(name).to_bytes(4, "little") + name for name in (b"c0", b"c3", b"c1")),
    )
    answer = calls.ModelInfer(message)
    assert output(answer, "sequence_status").tolist() == [0, grpc.StatusCode.INVALID_ARGUMENT.value[0], 0]


REFUSED = {
    "a start without its source": begin("d", None, X[:1]),
    "a source without its start": begin("d", SOURCES[0], X[:1]),
    "no steps and no start": begin("d", SOURCES[0]),
    "a source of no places": begin("d", SOURCES[0][:0], X[:1]),
    "a source of more places than a request may have steps": begin("d", np.zeros((16_385, 5), np.float32), X[:1]),
    "a source of other features": begin("d", SOURCES[0][:, :2], X[:1]),
}
REFUSED["a source without its start"].parameters["sequence_start"].bool_param = False
REFUSED["no steps and no start"].parameters["sequence_start"].bool_param = False


@pytest.mark.parametrize("message", REFUSED.values(), ids=REFUSED.keys())
def test_what_does_not_begin_a_sequence_as_the_model_needs_is_refused(message, calls):
    with refused("INVALID_ARGUMENT INVALID_REQUEST"):
        calls.ModelInfer(message)


def test_a_source_that_is_not_finite_is_refused_and_begins_nothing(calls):
    with refused("INVALID_ARGUMENT NOT_FINITE"):
        calls.ModelInfer(begin("e", np.full((2, 5), np.nan, np.float32), X[:1]))
    with refused("NOT_FOUND SEQUENCE_GONE"):
        calls.ModelInfer(ask("e", X[:1], model="decoder"))


def test_a_source_whose_annotations_have_no_room_is_refused_at_once_and_others_go_on(calls, loaded):
    calls.ModelInfer(begin("f", SOURCES[0], X[:1]))
    with refused("RESOURCE_EXHAUSTED STATE_FULL"):
        calls.ModelInfer(begin("g", RANDOM.normal(size=(400, 5)).astype(np.float32), X[:1]))
    np.testing.assert_array_equal(
        output(calls.ModelInfer(ask("f", X[1:], model="decoder", end=True)))[0], decoded(loaded, SOURCES[0], X)[1:]
    )


def question(name: str, asked: np.ndarray) -> pb.ModelInferRequest:
    message = pb.ModelInferRequest(model_name="memory")
    message.parameters["sequence_id"].string_param = name
    message.parameters["recur_peek"].bool_param = True
    tensor(message, "question", asked)
    return message


def test_a_question_is_answered_from_the_state_and_leaves_it(calls, loaded):
    memory, xs = loaded[1]["memory"], RANDOM.normal(size=(3, 4)).astype(np.float32)
    asked = RANDOM.normal(size=(1, 4)).astype(np.float32)
    initial = {name: row[None] for name, row in memory.initial.items()}
    _, states = memory.runner.run({"x": xs[None]}, np.array([3]), initial)
    expected = memory.runner.peek({"question": asked}, np.array([1]), states)["answer"]
    assert position(calls.ModelInfer(ask("h", xs, model="memory", start=True))) == 3
    for _ in range(2):
        answer = calls.ModelInfer(question("h", asked))
        assert ([one.name for one in answer.outputs], position(answer)) == (["answer"], 3)
        np.testing.assert_array_equal(output(answer, "answer"), expected)
    assert output(calls.ModelInfer(ask("h", xs[:1], model="memory", end=True))).tolist() == [[4]]


def test_a_question_to_nobody_and_one_of_other_tensors_are_refused(calls):
    with refused("NOT_FOUND SEQUENCE_GONE"):
        calls.ModelInfer(question("nobody", np.zeros((1, 4), np.float32)))
    with refused("INVALID_ARGUMENT INVALID_REQUEST"):
        calls.ModelInfer(question("nobody", np.zeros((1, 3), np.float32)))


def test_a_model_of_a_start_tells_what_it_begins_with(calls):
    parameters = calls.ModelConfig(pb.ModelConfigRequest(name="decoder")).config.parameters
    assert parameters["start_inputs"].string_value == "source FP32 [batch, source, 5]"
    parameters = calls.ModelConfig(pb.ModelConfigRequest(name="memory")).config.parameters
    assert parameters["peek_inputs"].string_value == "question FP32 [batch, 4]"
    assert parameters["peek_outputs"].string_value == "answer FP32 [batch, 4]"
