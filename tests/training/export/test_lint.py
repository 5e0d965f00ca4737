import numpy as np
import pytest
from onnx import TensorProto, helper

from training.export.builder import Builder
from training.export.lint import VARYING, varying_operators


def graph_of(operator: str) -> bytes:
    build = Builder()
    inner = Builder("inner.")
    inner.node(operator, "inner.x", output="inner.y")
    rows = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch"]) for name in ("inner.x", "inner.y")]
    body = inner.body([rows[0]], [rows[1]])
    (ys,) = build.nodes("Scan", "x", outputs=1, body=body, num_scan_inputs=1)
    build.node("Add", ys, build.constant("one", np.ones(1, np.float32)), output="y")
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["time", "batch"]) for name in ("x", "y")]
    return build.finish([values[0]], [values[1]])


@pytest.mark.parametrize("operator", sorted(VARYING - {"Einsum", "ReduceMean", "ReduceSum"}))
def test_an_operator_that_breaks_batch_invariance_is_found_within_a_scan(operator):
    assert varying_operators(graph_of(operator)) == [operator]


@pytest.mark.parametrize("operator", ["Tanh", "Sigmoid", "Relu", "Exp"])
def test_what_is_exact_is_not_named(operator):
    assert varying_operators(graph_of(operator)) == []
