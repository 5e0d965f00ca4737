import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from training.export.builder import Builder


def floats(name: str) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch"])


def test_names_that_nobody_gave_are_all_different():
    build = Builder()
    names = [build.node("Relu", "x") for _ in range(3)] + build.nodes("Split", "x", outputs=2, num_outputs=2)
    assert len(set(names)) == 5


def test_a_constant_is_stored_once():
    build = Builder()
    for _ in range(2):
        build.node("Add", "x", build.constant("one", np.ones(1, np.float32)))
    build.node("Relu", "x", output="y")
    graph = onnx.load_from_string(build.finish([floats("x")], [floats("y")])).graph
    assert [tensor.name for tensor in graph.initializer] == ["one"]


def test_a_graph_that_breaks_onnxs_rules_is_not_finished():
    build = Builder()
    build.node("Relu", "nothing", output="y")
    with pytest.raises(onnx.checker.ValidationError):
        build.finish([floats("x")], [floats("y")])
