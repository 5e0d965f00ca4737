"""Trees that are given whole, served: nodes with the places of their children, kept until the root has come."""

import json
from collections.abc import Iterator

import grpc
import numpy as np
import pytest
import torch

from demo.serving import serving
from server.pb import grpc_service_pb2 as pb
from server.pb import grpc_service_pb2_grpc as stubs
from tests.e2e.trained import Trained, publish_trained
from tests.wire import ask, ask_many, output, position

pytestmark = pytest.mark.e2e

MODEL, DEPTH = "sst_child_sum", 6
LEAF = [1, -1, -1]


@pytest.fixture(scope="module")
def trained(tmp_path_factory, data_folder) -> Trained:
    data_folder("sst")
    # Balanced trees are of few levels.
    changed = ("model.hidden_size=6", f"cell.depth={DEPTH}", "data.options.parsed=false")
    return publish_trained(MODEL, tmp_path_factory.mktemp("trees"), updates=3, changed=changed)


@pytest.fixture(scope="module")
def calls(trained) -> Iterator[stubs.GRPCInferenceServiceStub]:
    with serving(trained.repository.root) as server, grpc.insecure_channel(server.listen) as channel:
        yield stubs.GRPCInferenceServiceStub(channel)


def answers(trained: Trained, tree: np.ndarray) -> np.ndarray:
    with torch.no_grad():
        ys, _ = trained.model(torch.from_numpy(tree)[None], {}, torch.tensor([len(tree)]))
    return ys[0].numpy()


def refused(calls: stubs.GRPCInferenceServiceStub, sequence: str | None, nodes: list[list[int]], **options) -> str:
    with pytest.raises(grpc.RpcError) as failure:
        calls.ModelInfer(ask(sequence, np.array(nodes), model=MODEL, **options))
    assert failure.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    return failure.value.details()


def test_trees_of_different_shapes_are_answered_together_as_each_alone_in_torch(calls, trained):
    trees = [one.inputs for one in trained.data.parts.test[:12]]
    lengths = np.array([len(tree) for tree in trees])
    xs = np.zeros((len(trees), int(lengths.max()), 3), np.int64)
    for row, tree in zip(xs, trees, strict=True):
        row[: len(tree)] = tree
    flags = np.ones(len(trees), np.bool_)
    columns = {"lengths": lengths, "sequence_start": flags, "sequence_end": flags}
    found = output(calls.ModelInfer(ask_many(range(1, 13), xs, model=MODEL, **columns)))
    for row, tree in zip(found, trees, strict=True):
        np.testing.assert_allclose(row[: len(tree)], answers(trained, tree), atol=1e-5)


def test_the_texts_of_the_symbols_are_told_and_the_places_of_children_are_taken_for_none(calls, trained):
    config = calls.ModelConfig(pb.ModelConfigRequest(name=MODEL)).config
    texts = [json.loads(line) for line in config.parameters["vocabulary"].string_value.splitlines()]
    assert texts == list(trained.data.vocabulary)
    assert len(texts) == trained.data.symbols


def test_nodes_that_come_in_chunks_are_answered_when_the_root_is_there(calls, trained):
    tree = trained.data.parts.test[3].inputs
    calls.ModelInfer(ask("chunks", tree[:5], model=MODEL, start=True))
    found = calls.ModelInfer(ask("chunks", tree[5:], model=MODEL, end=True))
    assert position(found) == len(tree)
    np.testing.assert_allclose(output(found)[0], answers(trained, tree), atol=1e-5)


NO_TREES = {
    "cyclic": [[1, 1, -1], [1, 0, -1], [1, 0, 1]],
    "its own child": [LEAF, [1, 1, -1]],
    "disconnected": [LEAF, LEAF, [1, 0, 1], LEAF],
    "two parents": [LEAF, LEAF, [1, 0, 1], [1, 0, 2]],
    "a child out of range": [LEAF, [1, 7, -1]],
    "a child below none": [LEAF, [1, -7, -1]],
    "over-deep": [LEAF, *([1, place, -1] for place in range(DEPTH + 1))],
    "an unknown symbol": [[10**6, -1, -1]],
    "a symbol below zero": [[-1, -1, -1]],
}


@pytest.mark.parametrize("nodes", NO_TREES.values(), ids=NO_TREES)
def test_what_is_no_tree_is_refused_and_what_came_before_is_kept(calls, trained, nodes):
    for sequence, options in ((None, {}), ("whole", {"start": True, "end": True})):
        said = refused(calls, sequence, nodes, **options)
        assert "the nodes are no tree: a child must be a node before its parent" in said
        assert f"at most {DEPTH} levels" in said
    calls.ModelInfer(ask("kept", np.array([LEAF]), model=MODEL, start=True))
    refused(calls, "kept", nodes, end=True)
    rest = np.array([[2, -1, -1], [3, 0, 1]])
    found = calls.ModelInfer(ask("kept", rest, model=MODEL, end=True))
    assert position(found) == 3
    np.testing.assert_allclose(output(found)[0], answers(trained, np.array([LEAF, *rest])), atol=1e-5)


def test_a_row_that_is_no_tree_disturbs_no_neighbour(calls, trained):
    good, flags = [LEAF, LEAF, [1, 0, 1]], np.array([True] * 3)
    xs = np.array([good, [LEAF, [1, 2, -1], LEAF], good])
    found = calls.ModelInfer(ask_many([31, 32, 33], xs, model=MODEL, sequence_start=flags, sequence_end=flags))
    code = grpc.StatusCode.INVALID_ARGUMENT.value[0]
    assert output(found, "sequence_status").tolist() == [0, code, 0]
    np.testing.assert_allclose(output(found)[0], answers(trained, np.array(good)), atol=1e-5)
    assert output(found)[0].tobytes() == output(found)[2].tobytes()


def test_actions_after_the_root_are_a_second_tree_and_refused(calls):
    assert "all but the last must be children" in refused(calls, None, [LEAF, LEAF, [1, 0, 1], LEAF, LEAF])
