"""A pointer network served: what is generated from a source is places of it, however long it is."""

from collections.abc import Iterator

import grpc
import numpy as np
import pytest
import torch

from demo.serving import serving
from server.pb import grpc_service_pb2 as pb
from server.pb import grpc_service_pb2_grpc as stubs
from tests.e2e.trained import Trained, publish_trained
from tests.wire import ask, output, tensor
from training.cell import Source
from training.decoding import greedy

pytestmark = pytest.mark.e2e

MODEL, END = "sorting_pointer", 10
SOURCES = [np.array([5, 3, 99]), np.array([7, 0, 50, 51, 2, 98, 33, 60, 8, 1])]


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Trained:
    return publish_trained(MODEL, tmp_path_factory.mktemp("pointer"), updates=60, changed=("model.hidden_size=16",))


@pytest.fixture(scope="module")
def calls(trained) -> Iterator[stubs.GRPCInferenceServiceStub]:
    with serving(trained.repository.root) as server, grpc.insecure_channel(server.listen) as channel:
        yield stubs.GRPCInferenceServiceStub(channel)


def request(name: str | None, source: np.ndarray, xs: list[int], **parameters: float) -> pb.ModelInferRequest:
    message = ask(name, xs, model=MODEL, start=name is not None)
    tensor(message, "source", source[None])
    for parameter, value in parameters.items():
        field = "double_param" if isinstance(value, float) else "int64_param"
        setattr(message.parameters[parameter], field, value)
    return message


@pytest.mark.parametrize("source", SOURCES, ids=["short", "long"])
def test_the_most_probable_places_are_those_of_training_and_none_is_past_the_source(calls, trained, source):
    told = Source(torch.from_numpy(source)[None], torch.tensor([len(source)]))
    [wanted] = greedy(trained.model, told, 1, edge=END, most=12)
    message = request("g", source, [END], recur_max_steps=12, recur_temperature=0.0)
    answers = [one.infer_response for one in calls.ModelStreamInfer(iter([message]))]
    found = [output(one)[0, 0].item() for one in answers]
    assert (found[:-1] if found[-1] == END else found) == wanted
    for seed in range(20):
        message = request("d", source, [END], recur_max_steps=12, recur_seed=seed)
        drawn = [output(one.infer_response)[0, 0].item() for one in calls.ModelStreamInfer(iter([message]))]
        assert all(place < len(source) or place == END for place in drawn)


def test_what_a_search_finds_is_places_of_the_source(calls):
    message = request("s", SOURCES[0], [END], recur_max_steps=6, recur_beam_width=4)
    [answer] = calls.ModelStreamInfer(iter([message]))
    found, lengths = output(answer.infer_response), output(answer.infer_response, "beam_length")
    for row, length in zip(found, lengths, strict=True):
        assert all(place < len(SOURCES[0]) or place == END for place in row[:length].tolist())


@pytest.mark.parametrize(
    ("source", "x"), [(SOURCES[0], 3), (SOURCES[0], -1), (np.arange(11), 0), (np.array([100]), END)]
)
def test_a_place_that_is_none_a_source_that_is_too_long_and_an_unknown_symbol_are_refused(calls, source, x):
    with pytest.raises(grpc.RpcError) as failure:
        calls.ModelInfer(request(None, source, [x]))
    assert failure.value.code() is grpc.StatusCode.INVALID_ARGUMENT
