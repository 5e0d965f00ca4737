"""Searches over real streams: the best of what a model may write, each continuation a row beside everybody's steps."""

import json
import threading
import urllib.request
from collections.abc import Iterator
from dataclasses import replace

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
from tests.wire import ask, output, position, replayed, tensor

pytestmark = pytest.mark.e2e

ENDING, UNENDING, BROKEN = "ending", "unending", "broken"
END, STEPS, WIDEST, MOST = 3, 12, 16, 60


@pytest.fixture(scope="module")
def repository(tmp_path_factory) -> Repository:
    repository = Repository(tmp_path_factory.mktemp("beams"))
    vocabulary = "".join(f"{json.dumps(symbol)}\n" for symbol in zoo_roles.ALPHABET)
    ends = replace(zoo_roles.characters(), decode=Decode("y", "x", "categorical", start=0, end=END))
    zoo.publish(repository, ENDING, ends, vocabulary=vocabulary)
    zoo.publish(repository, UNENDING, zoo_roles.characters(), vocabulary=vocabulary)
    zoo.publish(repository, BROKEN, zoo_roles.characters(broken=True), vocabulary=vocabulary, allow_nonfinite=True)
    return repository


@pytest.fixture(scope="module")
def server(repository) -> Iterator[Serving]:
    with serving(repository.root, "--max-batch", str(WIDEST), "--max-sequences", str(MOST)) as running:
        yield running


@pytest.fixture
def stream(server):
    with grpc.insecure_channel(server.listen) as channel:
        yield stubs.GRPCInferenceServiceStub(channel).ModelStreamInfer


@pytest.fixture(scope="module")
def model(repository) -> CheckedModel:
    return load_checked(repository, repository.find(ENDING))


def logits(model: CheckedModel, symbols: list[int]) -> np.ndarray:
    """What follows a text, which is read from its beginning."""
    states = {name: row[None] for name, row in model.initial.items()}
    outputs, _ = model.runner.run({"x": np.array([symbols])}, np.array([len(symbols)]), states)
    return outputs["y"][0, -1].astype(np.float64)


def searched(model: CheckedModel, prompt: list[int], width: int, end: int | None, steps: int = STEPS):
    """Search by a loop of one's own that reads every text anew: texts and scores, and whether the first has ended."""
    live, ended = [((), 0.0)], []

    def score(one):
        return one[1] / max(1, len(one[0]))

    for _ in range(steps):
        found = []
        for text, before in live:
            row = logits(model, [*prompt, *text])
            row -= np.logaddexp.reduce(row)
            found += [((*text, symbol), before + row[symbol]) for symbol in range(len(row))]
        best = sorted(found, key=lambda one: -one[1])[: 2 * width]
        ended += [one for rank, one in enumerate(best) if one[0][-1] == end and rank < width]
        ended = sorted(ended, key=score, reverse=True)[:width]
        live = [one for one in best if one[0][-1] != end][:width]
        if len(ended) == width and score(ended[-1]) >= max(map(score, live)):
            break
    found = sorted([*ended, *live], key=score, reverse=True)[:width]
    return [list(text) for text, _ in found], [score(one) for one in found], found[0][0][-1] == end


def request(sequence: str, prompt: list[int], width: int, *, model: str = ENDING, steps: int = STEPS, **options):
    message = ask(sequence, prompt, model=model, start=True, name="b", **options)
    message.parameters["recur_max_steps"].int64_param = steps
    message.parameters["recur_beam_width"].int64_param = width
    return message


def search(stream, message: pb.ModelInferRequest) -> pb.ModelInferResponse:
    [answer] = stream(iter([message]))
    assert not answer.error_message, answer.error_message
    return answer.infer_response


def texts(answer: pb.ModelInferResponse) -> list[list[int]]:
    lengths = output(answer, "beam_length").tolist()
    return [row[:length] for row, length in zip(output(answer).tolist(), lengths, strict=True)]


def refusal(stream, message: pb.ModelInferRequest) -> str:
    [answer] = stream(iter([message]))
    return answer.error_message


@pytest.mark.parametrize("width", [1, 2, 5, WIDEST])
@pytest.mark.parametrize(("name", "end"), [(ENDING, END), (UNENDING, None)])
def test_what_is_found_is_what_a_search_that_reads_every_text_anew_finds(stream, model, name, end, width):
    for number in range(6):
        prompt = [number, 2 + number % 5]
        answer = search(stream, request(f"{name}{width}", prompt, width, model=name))
        found, scores, has_ended = searched(model, prompt, width, end)
        assert texts(answer) == found
        np.testing.assert_allclose(output(answer, "beam_score"), scores, rtol=1e-5)
        assert answer.parameters["triton_final_response"].bool_param
        assert answer.parameters["recur_finish_reason"].string_param == ("end" if has_ended else "length")
        assert position(answer) == len(prompt) + len(found[0]) - 1


def test_the_sequence_goes_on_from_the_best_whose_last_symbol_it_has_not_read(stream, model):
    for number in range(8):
        prompt = [2 + number % 6]
        answer = search(stream, request("on", prompt, 4, model=UNENDING, steps=3 + number))
        best = texts(answer)[0]
        after = search(stream, ask("on", [best[-1], 5], model=UNENDING))
        assert position(after) == len(prompt) + len(best) + 1
        np.testing.assert_allclose(output(after)[0, -1], logits(model, [*prompt, *best, 5]), rtol=1e-5, atol=1e-6)


def test_searches_at_once_beside_each_other_and_counted_steps_find_what_each_finds_alone(server, model):
    asked = [(f"m{number}", [number % 8, number // 8], 1 + number % 3) for number in range(8)]
    answers: dict[str, pb.ModelInferResponse] = {}

    def run(name: str, prompt: list[int], width: int) -> None:
        with grpc.insecure_channel(server.listen) as channel:
            infer = stubs.GRPCInferenceServiceStub(channel).ModelStreamInfer
            for _ in range(5):
                answers[name] = search(infer, request(name, prompt, width))
                for at in range(3):
                    step = ask(f"{name}-plain", [1], model=ENDING, step=at, start=at == 0, end=at == 2)
                    assert position(search(infer, step)) == at + 1

    threads = [threading.Thread(target=run, args=one) for one in asked]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for name, prompt, width in asked:
        assert texts(answers[name]) == searched(model, prompt, width, END)[0]


def test_a_search_that_comes_again_is_answered_again_and_another_is_a_conflict(stream):
    asked = request("again", [4, 5], 3, step=0)
    first = search(stream, asked)
    second = search(stream, asked)
    assert replayed(second)
    assert not replayed(first)
    second.parameters.pop("recur_replayed")
    first.parameters.pop("recur_replayed", None)
    assert second == first
    assert "STEP_CONFLICT" in refusal(stream, request("again", [4, 5], 2, step=0))
    after = search(stream, ask("again", [1], model=ENDING, step=position(first)))
    assert position(after) == position(first) + 1


def test_a_search_for_which_there_is_no_room_is_done_by_the_request_that_comes_again(stream, model):
    crowd: list[str] = []
    while "SEQUENCES_FULL" not in refusal(stream, ask(f"crowd{len(crowd)}", [1], model=ENDING, start=True)):
        crowd.append(f"crowd{len(crowd)}")
    try:
        search(stream, ask(crowd.pop(), [1], model=ENDING, end=True))
        asked = request("cut", [6], 8, step=0)
        # The prompt was read, for which there was room.
        assert "RESOURCE_EXHAUSTED SEQUENCES_FULL" in refusal(stream, asked)
        for _ in range(20):
            search(stream, ask(crowd.pop(), [1], model=ENDING, end=True))
        answer = search(stream, asked)
        assert texts(answer) == searched(model, [6], 8, END)[0]
    finally:
        for name in crowd:
            search(stream, ask(name, [1], model=ENDING, end=True))


def test_text_in_is_answered_as_text(stream, model):
    message = request("text", [0], 3, model=UNENDING, steps=4)
    del message.inputs[:], message.raw_input_contents[:]
    tensor(message, "x", [b"a", b"b"])
    message.inputs[0].shape[:] = [1, 2]
    answer = search(stream, message)
    assert (answer.outputs[0].name, answer.outputs[0].datatype, list(answer.outputs[0].shape)) == ("y", "BYTES", [3, 4])
    raw, letters = answer.raw_output_contents[0], []
    while raw:
        size = int.from_bytes(raw[:4], "little")
        letters.append(raw[4 : 4 + size].decode())
        raw = raw[4 + size :]
    prompt = [zoo_roles.ALPHABET.index(letter) for letter in "ab"]
    found, _, _ = searched(model, prompt, 3, None, steps=4)
    assert letters == [zoo_roles.ALPHABET[symbol] for text in found for symbol in text]


def test_a_step_that_is_counted_beside_a_long_search_disturbs_neither(server, stream):
    with grpc.insecure_channel(server.listen) as channel:
        other = stubs.GRPCInferenceServiceStub(channel).ModelStreamInfer
        found = stream(iter([request("long", [1], 5, model=UNENDING, steps=800)]))
        for at in range(40):
            counted = ask("beside", [1], model=UNENDING, step=at, start=at == 0)
            assert position(search(other, counted)) == at + 1
        [answer] = found
    assert not answer.error_message
    assert [len(text) for text in texts(answer.infer_response)] == [800] * 5


def test_a_search_that_cannot_begin_leaves_nothing_of_what_it_would_have_begun(server, stream):
    crowd: list[str] = []
    while "SEQUENCES_FULL" not in refusal(stream, ask(f"crowd{len(crowd)}", [1], model=ENDING, start=True)):
        crowd.append(f"crowd{len(crowd)}")
    try:
        search(stream, ask(crowd.pop(), [1], model=ENDING, end=True))
        for number in range(3):
            assert "SEQUENCES_FULL" in refusal(stream, request(f"no{number}", [1], 4, end=number % 2 == 0))
        crowd.append("last")
        search(stream, ask("last", [1], model=ENDING, start=True))
    finally:
        for name in crowd:
            search(stream, ask(name, [1], model=ENDING, end=True))


@pytest.mark.parametrize("seconds", [0.0, 0.01, 0.03, 0.1])
def test_a_search_whose_connection_broke_is_done_in_full_when_it_comes_again(stream, model, seconds):
    for number in range(6):
        asked = request(f"broken{seconds}-{number}", [number], 8, model=UNENDING, steps=120, step=0)
        call = stream(iter([asked]))
        threading.Event().wait(seconds)
        call.cancel()
        answer = search(stream, asked)
        assert answer.parameters["recur_finish_reason"].string_param == "length"
        assert [len(text) for text in texts(answer)] == [120] * 8
        search(stream, ask(f"broken{seconds}-{number}", [1], model=UNENDING, end=True))


def test_answers_that_are_no_numbers_fail_what_generates_and_nobody_else(stream):
    for name, width in (("drawn", 0), ("one", 1), ("three", 3)):
        message = request(name, [1], width or 1, model=BROKEN)
        if not width:
            message.parameters.pop("recur_beam_width")
        assert "INVALID_ARGUMENT NOT_FINITE" in refusal(stream, message)
    assert texts(search(stream, request("fine", [1], 2)))


WRONG = [
    ({"recur_beam_width": 0}, "'recur_beam_width' must be an integer from 1"),
    ({"recur_beam_width": -3}, "'recur_beam_width' must be an integer from 1"),
    ({"recur_beam_width": WIDEST + 1}, f"{WIDEST} is the widest"),
    ({"recur_beam_width": 2**62}, f"{WIDEST} is the widest"),
    ({"recur_beam_width": MOST // 2}, "is the widest"),
    ({"recur_temperature": 0.5}, "leave temperature"),
    ({"recur_top_k": 2}, "leave temperature"),
    ({"recur_seed": 2}, "leave temperature"),
    ({"recur_length_penalty": -1.0}, "'recur_length_penalty' must be a number from 0"),
    ({"recur_length_penalty": float("nan")}, "'recur_length_penalty' must be a number"),
    ({"recur_score": True}, "give one"),
    ({"recur_peek": True}, "give one"),
]


@pytest.mark.parametrize(("parameters", "said"), WRONG, ids=[f"{one}" for one, _ in WRONG])
def test_a_search_that_cannot_be_is_refused_and_begins_nothing(stream, parameters, said):
    message = request("wrong", [1], 2)
    for name, value in parameters.items():
        field = {bool: "bool_param", int: "int64_param", float: "double_param"}[type(value)]
        setattr(message.parameters[name], field, value)
    assert said in refusal(stream, message)
    assert "SEQUENCE_GONE" in refusal(stream, ask("wrong", [1], model=ENDING))


def test_a_penalty_without_beams_is_refused(stream):
    message = ask("wrong", [1], model=ENDING, start=True)
    message.parameters["recur_max_steps"].int64_param = 2
    message.parameters["recur_length_penalty"].double_param = 1.0
    assert "needs 'recur_beam_width'" in refusal(stream, message)


def state_bytes(server: Serving) -> float:
    with urllib.request.urlopen(f"http://{server.metrics}/metrics", timeout=10) as page:
        lines = [line for line in page.read().decode().splitlines() if line.startswith("recur_state_bytes{")]
    return sum(float(line.rpartition(" ")[2]) for line in lines if f'"{ENDING}"' in line)


def test_what_was_lent_is_given_back_whether_a_search_is_done_ends_its_sequence_or_is_left(server, stream):
    search(stream, ask("stays", [1], model=ENDING, start=True))
    before = state_bytes(server)
    for _ in range(5):
        search(stream, request("done", [1], 8, end=True))
    assert state_bytes(server) == before
    for number in range(5):
        message = request("left", [1], 8, steps=4000)
        message.parameters["recur_length_penalty"].double_param = 10.0
        call = stream(iter([message]))
        if number % 2:
            call.cancel()
        else:
            threading.Timer(0.1, call.cancel).start()
            with pytest.raises(grpc.RpcError):
                next(call)
    # The stream has ended when the sequence is free again.
    search(stream, ask("left", [1], model=ENDING, start=True, end=True))
    assert state_bytes(server) == before
