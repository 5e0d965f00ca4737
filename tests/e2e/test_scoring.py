"""Scores over real calls and streams: how probable a model finds what it is given."""

import json
from collections.abc import Iterator

import grpc
import numpy as np
import pytest

from demo.serving import Serving, serving
from models.loading import CheckedModel, load_checked
from models.manifest import Decode
from models.repository import Repository
from server.pb import grpc_service_pb2 as pb
from server.pb import grpc_service_pb2_grpc as stubs
from tests import zoo, zoo_roles
from tests.wire import ask, output, position, refused, replayed, tensor

pytestmark = pytest.mark.e2e

MODEL, END = "characters", 0
TEXT = "cafe bead"


@pytest.fixture(scope="module")
def repository(tmp_path_factory) -> Repository:
    repository = Repository(tmp_path_factory.mktemp("scoring"))
    vocabulary = "".join(f"{json.dumps(symbol)}\n" for symbol in zoo_roles.ALPHABET)
    decode = Decode("y", "x", "categorical", start=END, end=END)
    zoo.publish(repository, MODEL, zoo_roles.characters(), vocabulary=vocabulary, decode=decode)
    zoo.publish(repository, "ledger", zoo.ledger())
    zoo.publish(repository, "sums", zoo.running_sum(), decode=Decode("y", "x", "identity"))
    return repository


@pytest.fixture(scope="module")
def server(repository) -> Iterator[Serving]:
    with serving(repository.root) as running:
        yield running


@pytest.fixture(scope="module")
def calls(server) -> Iterator[stubs.GRPCInferenceServiceStub]:
    with grpc.insecure_channel(server.listen) as channel:
        yield stubs.GRPCInferenceServiceStub(channel)


@pytest.fixture(scope="module")
def model(repository) -> CheckedModel:
    return load_checked(repository, repository.find(MODEL))


def indices(text: str) -> list[int]:
    return [zoo_roles.ALPHABET.index(character) for character in text]


def score(sequence: str | None, xs, **options) -> pb.ModelInferRequest:
    message = ask(sequence, xs, model=options.pop("model", MODEL), **options)
    message.parameters["recur_score"].bool_param = True
    return message


def logarithms(model: CheckedModel, symbols: list[int]) -> np.ndarray:
    """The logarithms of all symbols' probabilities after each symbol, from the graph itself."""
    states = {name: row[None] for name, row in model.initial.items()}
    logits = model.runner.run({"x": np.array([symbols])}, np.array([len(symbols)]), states)[0]["y"][0]
    logits = logits.astype(np.float64)
    return logits - np.log(np.exp(logits).sum(-1, keepdims=True))


def test_a_text_is_scored_step_by_step_and_in_all_with_its_end(calls, model):
    symbols = [END, *indices(TEXT)]
    found = calls.ModelInfer(score("a", symbols, start=True, end=True))
    wanted = logarithms(model, symbols)[range(len(symbols)), [*symbols[1:], END]]
    np.testing.assert_allclose(output(found, "log_prob")[0], wanted, atol=1e-6)
    assert output(found, "log_prob_total").tolist() == pytest.approx([wanted.sum()], abs=1e-5)
    assert [given.name for given in found.outputs] == ["log_prob", "log_prob_total"]
    assert position(found) == len(symbols)


def test_what_generation_says_of_each_symbol_is_its_score(calls, server):
    prompt = indices("cafe")
    begin = ask("g", prompt, model=MODEL, start=True)
    begin.parameters["recur_max_steps"].int64_param = 12
    begin.parameters["recur_seed"].int64_param = 3
    with grpc.insecure_channel(server.listen) as channel:
        stream = stubs.GRPCInferenceServiceStub(channel).ModelStreamInfer(iter([begin]))
        answers = [one.infer_response for one in stream]
    drawn = [output(answer)[0, 0].item() for answer in answers]
    found = output(calls.ModelInfer(score(None, [*prompt, *drawn])), "log_prob")[0]
    said = [output(answer, "log_prob").item() for answer in answers]
    np.testing.assert_allclose(found[len(prompt) - 1 : -1], said, atol=1e-5)


def test_rows_that_are_not_kept_are_scored_together_each_to_its_own_length(calls):
    rows = np.array([[END, *indices("bead")], [END, *indices("ca"), 5, 5]])
    message = pb.ModelInferRequest(model_name=MODEL)
    tensor(message, "x", rows)
    tensor(message, "lengths", np.array([5, 3]))
    message.parameters["recur_score"].bool_param = True
    found = calls.ModelInfer(message)
    for row, length in enumerate([5, 3]):
        alone = calls.ModelInfer(score(None, rows[row, :length].tolist()))
        np.testing.assert_array_equal(output(found, "log_prob")[row, :length], output(alone, "log_prob")[0])
        assert not output(found, "log_prob")[row, length:].any()
        assert output(found, "log_prob_total")[row] == output(alone, "log_prob_total")[0]


def test_text_is_scored_as_its_symbols_are(calls):
    message = score(None, indices(TEXT))
    wanted = output(calls.ModelInfer(message), "log_prob").tolist()
    del message.inputs[:], message.raw_input_contents[:]
    message.inputs.add(name="x", datatype="BYTES", shape=[1, len(TEXT)])
    message.raw_input_contents.append(b"".join((1).to_bytes(4, "little") + c.encode() for c in TEXT))
    assert output(calls.ModelInfer(message), "log_prob").tolist() == wanted


def test_a_score_goes_on_with_its_sequence_and_a_question_leaves_it(calls):
    calls.ModelInfer(ask("h", indices("ca"), model=MODEL, start=True))
    question = score("h", indices("fe"))
    question.parameters["recur_peek"].bool_param = True
    asked = [calls.ModelInfer(question) for _ in range(2)]
    goes_on = calls.ModelInfer(score("h", indices("fe")))
    assert [position(one) for one in (*asked, goes_on)] == [2, 2, 4]
    assert len({output(one, "log_prob").tobytes() for one in (*asked, goes_on)}) == 1


def test_a_score_that_comes_again_is_answered_again(calls):
    found = [calls.ModelInfer(score("i", indices(TEXT), start=True, step=0)) for _ in range(2)]
    assert [replayed(one) for one in found] == [False, True]
    assert output(found[0], "log_prob").tolist() == output(found[1], "log_prob").tolist()


@pytest.mark.parametrize(
    ("message", "sentence"),
    [
        (score(None, [1, 2], model="ledger"), "gives no probabilities"),
        (score(None, np.zeros((2, 1), np.float32), model="sums"), "gives no probabilities"),
        (score(None, [1, 99]), "99, which is no symbol's"),
        (score(None, [1, -1]), "-1, which is no symbol's"),
    ],
)
def test_what_cannot_be_scored_is_refused(calls, message, sentence):
    with pytest.raises(grpc.RpcError) as failure:
        calls.ModelInfer(message)
    assert failure.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert sentence in failure.value.details()


def test_a_request_scores_or_generates_and_scores_one_sequence(calls):
    both = score("j", [1], start=True)
    both.parameters["recur_max_steps"].int64_param = 1
    many = score(None, [1])
    tensor(many, "sequence_id", np.array([7]))
    word = score("k", [1], start=True)
    word.parameters["recur_score"].int64_param = 1
    for message in (both, many, word):
        with refused("INVALID_ARGUMENT INVALID_REQUEST"):
            calls.ModelInfer(message)
