"""A decoder with attention, served with the weights by which it reads: as many as a row's source has symbols."""

from collections.abc import Iterator

import grpc
import numpy as np
import pytest
import torch

from demo.serving import serving
from server.pb import grpc_service_pb2 as pb
from server.pb import grpc_service_pb2_grpc as stubs
from tests.e2e.trained import Trained, publish_trained
from tests.wire import ask, output, position, replayed, tensor
from training.cell import Source

pytestmark = pytest.mark.e2e

MODEL = "reversal_attention"
SOURCES = [np.array([1, 2, 3]), np.array([4, 5, 6, 7, 1, 2, 3]), np.array([2])]
XS = np.array([0, 1, 2, 1])


@pytest.fixture(scope="module", params=["additive", "general"])
def trained(request, tmp_path_factory) -> Trained:
    changed = ("cell.weights=true", f"cell.score={request.param}", "model.hidden_size=8")
    return publish_trained(MODEL, tmp_path_factory.mktemp("attention"), updates=3, changed=changed)


@pytest.fixture(scope="module")
def channel(trained) -> Iterator[grpc.Channel]:
    with serving(trained.repository.root) as server, grpc.insecure_channel(server.listen) as to:
        yield to


@pytest.fixture
def calls(channel) -> stubs.GRPCInferenceServiceStub:
    return stubs.GRPCInferenceServiceStub(channel)


def weights(trained: Trained, source: np.ndarray) -> np.ndarray:
    """What torch reads of each symbol of a source at each step, one step after the other."""
    model, rows = trained.model, []
    with torch.no_grad():
        state = model.begin(1, Source(torch.from_numpy(source)[None], torch.tensor([len(source)])))
        for symbol in XS.tolist():
            x = model.embedding(torch.tensor([[symbol]]))[:, 0]
            rows.append(model.cell.looks(x, state)[0])
            _, state = model.cell.step(x, state)
    return torch.stack(rows).numpy()


def begin(name: str | None, source: np.ndarray, xs: np.ndarray = XS, **options) -> pb.ModelInferRequest:
    message = ask(name, xs, model=MODEL, start=name is not None, **options)
    tensor(message, "source", source[None])
    return message


@pytest.mark.parametrize("source", SOURCES, ids=map(str, map(len, SOURCES)))
def test_a_row_is_answered_a_weight_for_each_symbol_of_its_source_in_any_chunks(calls, trained, source):
    wanted = weights(trained, source)
    np.testing.assert_allclose(wanted.sum(1), 1, atol=1e-6)
    whole = calls.ModelInfer(begin(None, source))
    assert output(whole, "weights").shape == (1, len(XS), len(source))
    np.testing.assert_allclose(output(whole, "weights")[0], wanted, atol=1e-5)
    first = calls.ModelInfer(begin("chunks", source, XS[:1]))
    rest = calls.ModelInfer(ask("chunks", XS[1:], model=MODEL, end=True))
    pieces = [output(one, "weights")[0] for one in (first, rest)]
    assert np.concatenate(pieces).tobytes() == output(whole, "weights")[0].tobytes()


def test_rows_of_sources_of_many_lengths_in_one_request_have_zeros_after_their_own(calls, trained):
    for number, source in enumerate(SOURCES):
        calls.ModelInfer(begin(f"r{number}", source, XS[:1]))
    message = pb.ModelInferRequest(model_name=MODEL)
    tensor(message, "x", np.tile(XS[1:], (4, 1)))
    tensor(message, "sequence_id", [b"r0", b"r1", b"r2", b"nobody"])
    found = calls.ModelInfer(message)
    assert output(found, "sequence_status").tolist() == [0, 0, 0, grpc.StatusCode.NOT_FOUND.value[0]]
    given = output(found, "weights")
    assert given.shape == (4, len(XS) - 1, max(map(len, SOURCES)))
    for row, source in enumerate(SOURCES):
        np.testing.assert_allclose(given[row, :, : len(source)], weights(trained, source)[1:], atol=1e-5)
        assert not given[row, :, len(source) :].any()
    assert not given[3].any()


def test_a_step_that_comes_again_is_answered_the_same_weights(calls):
    source = SOURCES[1]
    calls.ModelInfer(begin("again", source, XS[:2], step=0))
    for at, steps in ((2, XS[2:3]), (3, XS[:1])):
        first = calls.ModelInfer(ask("again", steps, model=MODEL, step=at))
        second = calls.ModelInfer(ask("again", steps, model=MODEL, step=at))
        assert (replayed(first), replayed(second)) == (False, True)
        assert output(second, "weights").shape == (1, 1, len(source))
        assert output(second, "weights").tobytes() == output(first, "weights").tobytes()
        assert output(second).tobytes() == output(first).tobytes()


def test_who_asks_for_the_answers_alone_is_given_no_weights(calls):
    message = begin(None, SOURCES[0])
    message.outputs.add(name="y")
    assert [one.name for one in calls.ModelInfer(message).outputs] == ["y"]


def test_what_is_generated_and_searched_from_a_source_goes_on_as_without_them(channel, calls):
    stream = stubs.GRPCInferenceServiceStub(channel).ModelStreamInfer
    for name, parameter, value in (("drawn", "recur_seed", 3), ("searched", "recur_beam_width", 4)):
        message = begin(name, SOURCES[1], XS[:1])
        message.parameters["recur_max_steps"].int64_param = 6
        message.parameters[parameter].int64_param = value
        answers = [one for one in stream(iter([message])) if not one.error_message]
        last = answers[-1].infer_response
        assert last.parameters["triton_final_response"].bool_param
        after = calls.ModelInfer(ask(name, XS[:1], model=MODEL))
        assert position(after) == position(last) + 1
        assert output(after, "weights").shape == (1, 1, len(SOURCES[1]))
