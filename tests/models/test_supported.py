from dataclasses import replace

import msgspec
import pytest

from models.errors import ModelUnsupported
from models.manifest import Decode, Graphs, TensorSpec
from models.supported import refuse_unsupported
from tests import zoo, zoo_foreign, zoo_roles

SUM = zoo.running_sum(2, [0.5, -3.0])
[X] = SUM.inputs


UNSUPPORTED = [
    ({"kind": "sequence"}, "states of kind 'sequence'"),
    (
        {"kind": "sequence", "states": (), "decode": Decode("y", "x", "identity")},
        "decode of kind 'sequence'",
    ),
    (
        {"kind": "sequence", "states": (), "graphs": Graphs("model.onnx", step="model.onnx")},
        "graphs.step of kind 'sequence'",
    ),
    (
        {"kind": "sequence", "states": (), "inputs": (X, TensorSpec("scale", "FP32", (1,)))},
        "inputs[1].shape without time in kind 'sequence'",
    ),
    ({"decode": Decode("y", "x", "categorical")}, "decode.output 'y', fed back as 'x' by 'categorical',"),
    ({"decode": Decode("y", "x", "argmax")}, "decode.output 'y'"),
    ({"decode": Decode("y", "state.sum", "identity")}, "decode.output 'y', fed back as 'state.sum'"),
    (
        {"decode": Decode("y", "x", "identity"), "inputs": (X, TensorSpec("mark", "FP32", ("time",)))},
        "decode.input 'x' beside the input 'mark'",
    ),
    ({"decode": Decode("y", "x", "identity"), "outputs": (TensorSpec("y", "FP64", X.shape),)}, "decode.output 'y'"),
    ({"decode": Decode("y", "x", "identity"), "outputs": (TensorSpec("y", "FP32", (2,)),)}, "decode.output 'y'"),
    ({"inputs": (TensorSpec("x", "FP32", (2, "time")),)}, "inputs[0].shape with a free axis"),
    ({"inputs": (TensorSpec("x", "FP32", ("time", "width")),)}, "inputs[0].shape with"),
    ({"outputs": (TensorSpec("y", "FP32", ("time", "time")),)}, "outputs[0].shape with a free axis"),
    ({"outputs": (TensorSpec("y", "FP32", ("time", "source")),)}, "outputs[0].shape with a free axis"),
    (
        {"outputs": (TensorSpec("y", "FP32", ("time", "source", 2)),), "states": zoo_roles.annotations().states},
        "outputs[0].shape with a free axis",
    ),
]


@pytest.mark.parametrize(("overrides", "field"), UNSUPPORTED, ids=[field for _, field in UNSUPPORTED])
def test_what_is_not_served_is_refused_by_the_fields_name(overrides, field):
    manifest = msgspec.structs.replace(SUM.manifest(), **overrides)
    with pytest.raises(ModelUnsupported) as caught:
        refuse_unsupported(manifest)
    assert str(caught.value).startswith(f"manifest field {field}")
    assert str(caught.value).endswith(" is not served by this version of Recur")


@pytest.mark.parametrize(
    "model",
    [
        SUM,
        zoo_foreign.layered_lstm(),
        zoo_foreign.scaled_sum(),
        zoo_foreign.half(),
        zoo_foreign.one_step(),
        zoo_roles.leaky(),
        zoo_roles.annotations(),
        zoo_roles.memory(),
        zoo_roles.characters(),
        zoo.sums_to_come(),
        zoo.grid_sums(),
        replace(zoo_roles.annotations(), outputs=(TensorSpec("y", "FP32", ("time", "source")),)),
        replace(SUM, decode=Decode("y", "x", "identity")),
        replace(SUM, decode=Decode("y", "x", "bernoulli")),
    ],
)
def test_what_is_served_is_not_refused(model):
    refuse_unsupported(model.manifest())
