"""A recursive network served as a stream: words are shifted onto a stack that the server keeps, and reduced."""

from collections.abc import Iterator

import grpc
import numpy as np
import pytest
import torch

from demo.serving import serving
from server.pb import grpc_service_pb2_grpc as stubs
from tests.e2e.trained import Trained, publish_trained
from tests.wire import ask, ask_many, output, position

pytestmark = pytest.mark.e2e

MODEL, DEPTH = "sst_tree_lstm", 60


@pytest.fixture(scope="module")
def trained(tmp_path_factory, data_folder) -> Trained:
    data_folder("sst")
    changed = ("model.hidden_size=6",)
    return publish_trained(MODEL, tmp_path_factory.mktemp("recursive"), updates=3, changed=changed)


@pytest.fixture(scope="module")
def calls(trained) -> Iterator[stubs.GRPCInferenceServiceStub]:
    with serving(trained[0].root) as server, grpc.insecure_channel(server.listen) as channel:
        yield stubs.GRPCInferenceServiceStub(channel)


def refused(calls: stubs.GRPCInferenceServiceStub, sequence: str, xs: list[int], **options) -> str:
    with pytest.raises(grpc.RpcError) as failure:
        calls.ModelInfer(ask(sequence, xs, model=MODEL, **options))
    assert failure.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    return failure.value.details()


@pytest.mark.parametrize("size", [1, 3, 100])
def test_a_tree_is_read_action_by_action_as_it_is_read_whole(calls, trained, size):
    _, model, data = trained
    tree = data.parts.test[0].inputs
    with torch.no_grad():
        wanted = model(torch.from_numpy(tree)[None], model.begin(1), torch.tensor([len(tree)]))[0][0].numpy()
    pieces = []
    for first in range(0, len(tree), size):
        message = ask(f"t{size}", tree[first : first + size].tolist(), model=MODEL, start=first == 0)
        pieces.append(output(calls.ModelInfer(message))[0])
    np.testing.assert_allclose(np.concatenate(pieces), wanted, atol=1e-5)


def test_a_reduction_without_two_nodes_is_refused_and_the_stack_stays(calls, trained):
    _, _, data = trained
    reduce = data.symbols - 1
    assert "two are needed to reduce" in refused(calls, "u", [reduce], start=True)
    calls.ModelInfer(ask("u", [1], model=MODEL, start=True))
    assert "two are needed to reduce" in refused(calls, "u", [reduce])
    assert "two are needed to reduce" in refused(calls, "u", [2, reduce, reduce])
    found = calls.ModelInfer(ask("u", [2, reduce], model=MODEL))
    assert position(found) == 3
    whole = calls.ModelInfer(ask(None, [1, 2, reduce], model=MODEL))
    assert output(found)[0, -1].tobytes() == output(whole)[0, -1].tobytes()


def test_a_shift_onto_a_full_stack_is_refused_and_the_stack_stays(calls, trained):
    _, _, data = trained
    calls.ModelInfer(ask("o", [1] * DEPTH, model=MODEL, start=True))
    assert f"place for {DEPTH} nodes" in refused(calls, "o", [1])
    found = calls.ModelInfer(ask("o", [data.symbols - 1], model=MODEL))
    assert position(found) == DEPTH + 1


def test_after_a_tree_is_complete_another_may_follow_and_no_reduction(calls, trained):
    _, _, data = trained
    reduce = data.symbols - 1
    calls.ModelInfer(ask("c", [1, 2, reduce], model=MODEL, start=True))
    assert "two are needed to reduce" in refused(calls, "c", [reduce])
    calls.ModelInfer(ask("c", [3, reduce], model=MODEL))


def test_a_row_that_is_refused_disturbs_no_neighbour(calls, trained):
    _, _, data = trained
    reduce = data.symbols - 1
    start = np.array([True] * 3)
    xs = np.array([[1, 2, reduce], [1, reduce, 2], [3, 4, reduce]])
    found = calls.ModelInfer(ask_many([1, 2, 3], xs, model=MODEL, sequence_start=start))
    code = grpc.StatusCode.INVALID_ARGUMENT.value[0]
    assert output(found, "sequence_status").tolist() == [0, code, 0]
    assert output(found, "recur_step").tolist()[::2] == [3, 3]


def test_a_word_that_is_none_is_refused(calls, trained):
    refused(calls, "w", [trained[2].symbols], start=True)
    refused(calls, "w", [-1], start=True)
