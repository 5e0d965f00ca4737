"""Stories streamed sentence by sentence into a memory that the server keeps, and asked about at any time."""

from collections.abc import Iterator

import grpc
import numpy as np
import pytest
import torch

from demo.serving import serving
from server.pb import grpc_service_pb2 as pb
from server.pb import grpc_service_pb2_grpc as stubs
from tests.e2e.trained import Trained, publish_trained
from tests.wire import ask, output, position, refused

pytestmark = pytest.mark.e2e

MODEL = "babi_1"


@pytest.fixture(scope="module")
def trained(tmp_path_factory, data_folder) -> Trained:
    data_folder("babi")
    return publish_trained(MODEL, tmp_path_factory.mktemp("memory"), updates=20)


@pytest.fixture(scope="module")
def calls(trained) -> Iterator[stubs.GRPCInferenceServiceStub]:
    with serving(trained[0].root) as server, grpc.insecure_channel(server.listen) as channel:
        yield stubs.GRPCInferenceServiceStub(channel)


def question(story: str, words: np.ndarray) -> pb.ModelInferRequest:
    message = ask(story, words[None], model=MODEL)
    message.parameters["recur_peek"].bool_param = True
    return message


def test_questions_are_answered_at_any_time_and_leave_the_story_as_it_is(calls, trained):
    _, model, data = trained
    story = max(data.parts.test[:50], key=lambda one: len(one.inputs)).inputs
    told, asked = story[:-1], story[-1]
    for number, sentence in enumerate(told):
        calls.ModelInfer(ask("story", sentence[None], model=MODEL, start=number == 0))
        found = [calls.ModelInfer(question("story", asked)) for _ in range(2)]
        assert [position(one) for one in found] == [number + 1] * 2
        assert output(found[0]).tobytes() == output(found[1]).tobytes()
        read = torch.from_numpy(np.concatenate([story[: number + 1], asked[None]]))[None]
        with torch.no_grad():
            wanted = model(read, model.begin(1))[0][0, -1].numpy()
        np.testing.assert_allclose(output(found[0])[0, 0], wanted, atol=1e-5)


def test_a_whole_story_with_its_question_is_one_request(calls, trained):
    _, model, data = trained
    story = data.parts.test[3].inputs
    found = calls.ModelInfer(ask(None, story, model=MODEL))
    with torch.no_grad():
        wanted = model(torch.from_numpy(story)[None], model.begin(1))[0].numpy()
    np.testing.assert_allclose(output(found), wanted, atol=1e-5)


def test_a_question_before_any_story_is_refused(calls, trained):
    with refused("NOT_FOUND SEQUENCE_GONE"):
        calls.ModelInfer(question("nobody", trained[2].parts.test[0].inputs[-1]))


def test_a_question_to_an_empty_memory_has_an_answer_of_its_own(calls, trained):
    _, model, data = trained
    asked = data.parts.test[0].inputs[-1:]
    found = calls.ModelInfer(ask(None, asked, model=MODEL))
    with torch.no_grad():
        np.testing.assert_allclose(output(found), model(torch.from_numpy(asked)[None], model.begin(1))[0], atol=1e-5)


def test_a_sentence_of_no_words_is_nothing_and_disturbs_nobody(calls, trained):
    _, _, data = trained
    nothing = np.zeros_like(data.parts.test[0].inputs[:1])
    found = calls.ModelInfer(ask("empty", nothing, model=MODEL, start=True))
    assert np.isfinite(output(found)).all()
    assert position(calls.ModelInfer(question("empty", data.parts.test[0].inputs[-1]))) == 1


def test_words_that_the_model_does_not_know_are_refused_and_the_story_goes_on(calls, trained):
    _, model, data = trained
    words = data.parts.test[0].inputs[:1].copy()
    calls.ModelInfer(ask("bad", words, model=MODEL, start=True))
    for wrong in (data.symbols, 10**9, -data.symbols - 1):
        words[0, 0] = wrong
        with pytest.raises(grpc.RpcError) as failure:
            calls.ModelInfer(ask("bad", words, model=MODEL))
        assert failure.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert position(calls.ModelInfer(question("bad", data.parts.test[0].inputs[-1]))) == 1
    assert model.symbols == data.symbols


def test_a_sentence_of_another_width_is_refused(calls, trained):
    words = trained[2].parts.test[0].inputs[:1]
    with refused("INVALID_ARGUMENT INVALID_REQUEST"):
        calls.ModelInfer(ask("wide", np.pad(words, [(0, 0), (0, 1)]), model=MODEL, start=True))
