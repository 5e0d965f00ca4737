"""Generation over real streams: drawn where the state is, each step a row beside everybody else's."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from itertools import product
from typing import Any

import grpc
import msgspec
import numpy as np
import pytest

from demo.serving import ROOT, Serving, serving
from models.loading import CheckedModel, load_checked
from models.repository import Repository
from server.generation import draw
from server.pb import grpc_service_pb2 as pb
from server.pb import grpc_service_pb2_grpc as stubs
from server.sampling import Draws, Sampling
from tests import zoo, zoo_roles
from tests.e2e.conftest import talk
from tests.wire import ask, output, position, refused, tensor

pytestmark = pytest.mark.e2e

MODEL, STEPS = "characters", 40
PROMPT = "cafe"


@pytest.fixture(scope="module")
def repository(tmp_path_factory) -> Repository:
    repository = Repository(tmp_path_factory.mktemp("generation"))
    vocabulary = "".join(f"{json.dumps(symbol)}\n" for symbol in zoo_roles.ALPHABET)
    zoo.publish(repository, MODEL, zoo_roles.characters(), vocabulary=vocabulary)
    zoo.publish(repository, "ledger", zoo.ledger())
    return repository


@pytest.fixture(scope="module")
def server(repository) -> Iterator[Serving]:
    with serving(repository.root) as running:
        yield running


@pytest.fixture
def stream(server):
    with grpc.insecure_channel(server.listen) as channel:
        yield stubs.GRPCInferenceServiceStub(channel).ModelStreamInfer


@pytest.fixture(scope="module")
def model(repository) -> CheckedModel:
    return load_checked(repository, repository.find(MODEL))


def indices(text: str) -> list[int]:
    return [zoo_roles.ALPHABET.index(character) for character in text]


def written(model: CheckedModel, prompt: str, how: Sampling) -> tuple[str, list[float]]:
    """Generate by a loop of one's own, one sequence in a batch of its own."""
    states = {name: row[None] for name, row in model.initial.items()}
    x, text, log_probs = np.array([indices(prompt)]), "", []
    for number in range(how.max_steps):
        outputs, states = model.runner.run({"x": x}, np.array([x.shape[1]]), states)
        drawn = draw(model.manifest.decode, outputs["y"][:, -1], Draws.of(how, how.seed, number))
        text += zoo_roles.ALPHABET[drawn.values.item()]
        log_probs.append(drawn.log_probs.item())
        x = drawn.values.reshape(1, 1)
    return text, log_probs


def generate(server: Serving, *jobs: tuple[str, Sampling], leave_after: int | None = None) -> list[dict[str, Any]]:
    """Let the client generate all at once."""
    asked = [{"prompt": prompt, "leave_after": leave_after, "how": dict(options(how))} for prompt, how in jobs]
    done = subprocess.run(
        [sys.executable, "-m", "tests.e2e.writing", server.listen],
        cwd=ROOT,
        input=json.dumps(asked),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found: list[dict[str, Any]] = json.loads(done.stdout)
    return found


def options(how: Sampling) -> Iterator[tuple[str, Any]]:
    plain = Sampling(how.max_steps)
    for name, value in msgspec.structs.asdict(how).items():
        if value != getattr(plain, name) or name == "max_steps":
            yield name, value


HOWS = [
    Sampling(STEPS, temperature=0.0, seed=1),
    Sampling(STEPS, seed=2),
    Sampling(STEPS, temperature=0.7, top_k=3, seed=3),
    Sampling(STEPS, temperature=1.5, top_p=0.6, seed=4),
]


def test_the_same_seed_gives_the_same_text_whatever_runs_beside_it(server, model):
    jobs = [(PROMPT[: 1 + number % 4], HOWS[number % len(HOWS)]) for number in range(24)]
    for (prompt, how), told in zip(jobs, generate(server, *jobs), strict=True):
        text, log_probs = written(model, prompt, how)
        assert told["text"] == text
        np.testing.assert_array_equal(np.array(told["log_probs"], np.float32), np.array(log_probs, np.float32))
        assert told["reasons"] == [None] * (STEPS - 1) + ["length"]
        assert told["positions"] == list(range(len(prompt), len(prompt) + STEPS))


def test_steps_that_share_an_answer_are_the_same_steps(stream, model):
    hows, texts, ends = HOWS * 8, [""] * 32, [len(PROMPT) - 1] * 32
    for answer in stream(iter([shared(number, how) for number, how in enumerate(hows)])):
        told, number = answer.infer_response, int(answer.infer_response.id)
        symbols = output(told)[0]
        assert 1 <= len(symbols) <= 16
        texts[number] += "".join(zoo_roles.ALPHABET[symbol] for symbol in symbols)
        ends[number] += len(symbols)
        assert position(told) == ends[number]
    assert texts == [written(model, PROMPT, how)[0] for how in hows]


def shared(number: int, how: Sampling) -> pb.ModelInferRequest:
    message = ask(f"shared {number}", indices(PROMPT), model=MODEL, start=True, name=str(number))
    for name, value in options(how):
        field = "double_param" if isinstance(value, float) else "int64_param"
        setattr(message.parameters[f"recur_{name}"], field, value)
    message.parameters["recur_answer_steps"].int64_param = 16
    return message


def test_a_sequence_may_be_left_in_the_middle_and_goes_on_from_where_it_was(server, model):
    how = Sampling(4000, seed=2)
    [told] = generate(server, (PROMPT, how), leave_after=5)
    assert told["text"] == written(model, PROMPT, HOWS[1])[0][:5]
    # It ends within a step of hearing that nobody reads any more.
    assert len(PROMPT) + 5 - 1 <= told["position"] - len("abc") < len(PROMPT) + 4000 - 1


def test_the_example_writes_on_from_a_prompt(server):
    command = [sys.executable, "-m", "examples.write", server.listen, MODEL, PROMPT]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert len(done.stdout) == 201
    assert set(done.stdout) <= set(zoo_roles.ALPHABET)


def test_the_client_searches_for_the_most_probable_text_and_goes_on_from_it(server, model):
    # As wide as there are texts of two symbols, a search finds the best of all.
    [told] = generate(server, (PROMPT, Sampling(2, beam_width=64, length_penalty=0.0)))
    scores = {first + second: scored(model, first + second) for first, second in product(zoo_roles.ALPHABET, repeat=2)}
    assert told["texts"] == sorted(scores, key=scores.__getitem__, reverse=True)
    np.testing.assert_allclose(told["scores"], sorted(scores.values(), reverse=True), rtol=1e-5)
    assert (told["reason"], told["positions"]) == ("length", [len(PROMPT) + 1, len(PROMPT) + 2])


def scored(model: CheckedModel, text: str) -> float:
    """The logarithm of the probability of a text after the prompt, read from its beginning."""
    states = {name: row[None] for name, row in model.initial.items()}
    x = np.array([indices(PROMPT + text)])
    logits = model.runner.run({"x": x}, np.array([x.shape[1]]), states)[0]["y"][0].astype(np.float64)
    log_probs = logits - np.logaddexp.reduce(logits, axis=-1, keepdims=True)
    first = len(PROMPT)
    return float(sum(log_probs[at - 1, x[0, at]] for at in range(first, first + len(text))))


def request(*, start: bool = True, **options) -> pb.ModelInferRequest:
    message = ask("raw", indices(PROMPT), model=MODEL, start=start, name="g", **options)
    message.parameters["recur_max_steps"].int64_param = 5
    message.parameters["recur_seed"].int64_param = 2
    return message


def test_a_stream_of_any_client_gets_one_answer_a_step_and_the_last_again(stream, model):
    asked = request(step=0)
    answers = [answer.infer_response for answer in stream(iter([asked]))]
    assert [answer.id for answer in answers] == ["g"] * 5
    assert [answer.parameters["triton_final_response"].bool_param for answer in answers] == [False] * 4 + [True]
    assert [position(answer) for answer in answers] == [4, 5, 6, 7, 8]
    assert [output.datatype for output in answers[0].outputs] == ["INT64", "FP32"], "indices came, indices go"
    symbols = [np.frombuffer(answer.raw_output_contents[0], np.int64).item() for answer in answers]
    assert "".join(zoo_roles.ALPHABET[symbol] for symbol in symbols) == written(model, PROMPT, HOWS[1])[0][:5]
    [again] = [answer.infer_response for answer in stream(iter([asked]))]
    assert again.parameters.pop("recur_replayed").bool_param
    assert again == answers[-1]


def test_a_call_of_one_answer_does_not_generate_and_an_unknown_text_is_refused(server):
    with grpc.insecure_channel(server.listen) as channel, refused("INVALID_ARGUMENT INVALID_REQUEST"):
        stubs.GRPCInferenceServiceStub(channel).ModelInfer(request())
    [told] = generate(server, ("aq", HOWS[1]))
    assert "input 'x' has 'q', which is no symbol of the model's vocabulary" in told["error"]


def test_text_may_be_given_to_a_plain_step_too(stream, model):
    asked = ask("text", indices(PROMPT), model=MODEL, start=True, end=True)
    del asked.inputs[:], asked.raw_input_contents[:]
    tensor(asked, "x", [character.encode() for character in PROMPT])
    asked.inputs[0].shape[:] = [1, len(PROMPT)]
    [answer] = stream(iter([asked]))
    states = {name: row[None] for name, row in model.initial.items()}
    outputs, _ = model.runner.run({"x": np.array([indices(PROMPT)])}, np.array([4]), states)
    np.testing.assert_array_equal(output(answer.infer_response), outputs["y"])


def test_an_unmodified_tritonclient_reads_a_generation(server, model):
    told = talk("generation", server)
    assert told["text"] == written(model, PROMPT, HOWS[1])[0][:6]
    assert told["final"] == [False] * 5 + [True]
    assert told["reason"] == "length"


def test_a_generation_that_its_client_leaves_stops_and_steps_of_others_go_on(server, stream):
    asked = request(step=0)
    asked.parameters["sequence_id"].string_param = "left"
    asked.parameters["recur_max_steps"].int64_param = 4096
    call = stream(iter([asked]))
    assert not next(call).error_message
    call.cancel()
    # Asked again it waits for the step under way, and tells where that left the sequence.
    [last] = [answer.infer_response for answer in stream(iter([asked]))]
    assert last.parameters["recur_finish_reason"].string_param == "cancelled"
    assert len(PROMPT) <= position(last) < 4096
    after = ask("left", indices("a"), model=MODEL, step=position(last))
    [answer] = [answer.infer_response for answer in stream(iter([after]))]
    assert position(answer) == position(last) + 1
    other = ask("ledger", [1, 2], start=True)
    tensor(other, "lengths", np.array([2]))
    assert [position(answer.infer_response) for answer in stream(iter([other]))] == [2]


def test_a_model_that_is_unloaded_ends_a_generation_that_nobody_reads_and_the_others_go_on(repository):
    options = ("--control", "explicit", "--load", f"{MODEL},ledger", "--drain-seconds", "0.5")
    options += ("--max-generated-steps", "1000000")
    narrow = [("grpc.http2.bdp_probe", 0), ("grpc.http2.lookahead_bytes", 1 << 14)]
    with serving(repository.root, *options) as server, grpc.insecure_channel(server.listen, narrow) as channel:
        calls = stubs.GRPCInferenceServiceStub(channel)
        asked = request(step=0)
        asked.parameters["recur_max_steps"].int64_param = 1_000_000
        unread = calls.ModelStreamInfer(iter([asked]))
        next(unread)
        time.sleep(1.0)  # until the server holds it, for nobody reads
        calls.RepositoryModelUnload(pb.RepositoryModelUnloadRequest(model_name=MODEL))
        deadline = time.monotonic() + 20
        while calls.ModelReady(pb.ModelReadyRequest(name=MODEL)).ready or _unloading(calls):
            assert time.monotonic() < deadline
            time.sleep(0.1)
        answers = list(unread)
        assert "SEQUENCE_GONE" in answers[-1].error_message
        assert position(calls.ModelInfer(ask("ledger", [1, 2], start=True))) == 2
        assert server.process.poll() is None


def _unloading(calls) -> bool:
    index = calls.RepositoryIndex(pb.RepositoryIndexRequest()).models
    return any(one.name == MODEL and one.state == "UNLOADING" for one in index)


@pytest.mark.parametrize("wrong", [-1, len(zoo_roles.ALPHABET)])
def test_an_index_that_is_no_symbols_is_refused_and_begins_nothing(stream, wrong):
    [told] = stream(iter([ask("wrong", [0, wrong], model=MODEL, start=True)]))
    assert f"input 'x' has {wrong}, which is no symbol's" in told.error_message
    [told] = stream(iter([ask("wrong", [0], model=MODEL)]))
    assert "NOT_FOUND SEQUENCE_GONE" in told.error_message


def test_what_is_no_symbol_may_pad_a_row(stream):
    asked = ask("padded", [0, -1], model=MODEL, start=True, end=True)
    tensor(asked, "lengths", np.array([1], np.int64))
    [answer] = stream(iter([asked]))
    assert position(answer.infer_response) == 1
