import onnx
import pytest
from onnx import TensorProto, helper

from models.onnx_bytes import IR_VERSION, OPSET, Node, Tensor, graph_bytes
from models.tensors import NUMPY

NODES = (
    Node("Transpose", ("x",), "turned", {"perm": (1, 0)}),
    Node("ReduceSum", ("turned",), "sum", {"axes": (1,), "keepdims": 0}),
    Node("Add", ("sum", "bias" * 50), "y"),
)


def written(**changes) -> onnx.ModelProto:
    tensors = {"inputs": [Tensor("x", "FP32", 2), Tensor("bias" * 50, "FP32", 1)], "outputs": [Tensor("y", "FP32", 1)]}
    return onnx.load_from_string(graph_bytes(NODES, **(tensors | changes)))


def test_what_is_written_is_what_the_package_onnx_reads():
    model = written()
    onnx.checker.check_model(model, full_check=True)
    assert (model.ir_version, model.opset_import[0].domain, model.opset_import[0].version) == (IR_VERSION, "", OPSET)
    assert list(model.graph.node) == [
        helper.make_node("Transpose", ["x"], ["turned"], perm=[1, 0]),
        helper.make_node("ReduceSum", ["turned"], ["sum"], axes=[1], keepdims=0),
        helper.make_node("Add", ["sum", "bias" * 50], ["y"]),
    ]
    assert list(model.graph.input) == [
        helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, None]),
        helper.make_tensor_value_info("bias" * 50, TensorProto.FLOAT, [None]),
    ]
    assert list(model.graph.output) == [helper.make_tensor_value_info("y", TensorProto.FLOAT, [None])]


@pytest.mark.parametrize(("dtype", "numpy"), NUMPY.items())
def test_every_datatype_has_its_number(dtype, numpy):
    model = written(outputs=[Tensor("y", dtype, 3)])
    assert list(model.graph.output) == [
        helper.make_tensor_value_info("y", helper.np_dtype_to_tensor_dtype(numpy), [None] * 3)
    ]
