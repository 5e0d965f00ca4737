import msgspec
import pytest

from models.errors import ModelUnsupported
from models.manifest import Decode, Graphs, StateSpec, TensorSpec
from models.supported import refuse_unsupported
from tests import zoo, zoo_foreign

SUM = zoo.running_sum(2, [0.5, -3.0])


def state(shape=(2,), **fields):
    return {"states": (StateSpec("state.sum", "next_state.sum", "FP32", shape, **fields),)}


UNSUPPORTED = [
    ({"kind": "sequence"}, "kind 'sequence'"),
    ({"graphs": Graphs(zoo.GRAPH, start=zoo.GRAPH)}, "graphs.start"),
    ({"graphs": Graphs(zoo.GRAPH, step=zoo.GRAPH)}, "graphs.step"),
    ({"graphs": Graphs(zoo.GRAPH, peek=zoo.GRAPH)}, "graphs.peek"),
    ({"decode": Decode("y", "x", "identity")}, "decode"),
    (state(length_of="x"), "states[0].length_of"),
    (state(shape=("seen",)), "states[0].shape with a free axis"),
    ({"inputs": (TensorSpec("x", "FP32", (2, "time")),)}, "inputs[0].shape with a free axis"),
    ({"inputs": (TensorSpec("x", "FP32", ("time", "width")),)}, "inputs[0].shape with"),
    ({"outputs": (TensorSpec("y", "FP32", ("time", "time")),)}, "outputs[0].shape with a free axis"),
]


@pytest.mark.parametrize(("overrides", "field"), UNSUPPORTED, ids=[field for _, field in UNSUPPORTED])
def test_what_is_not_served_is_refused_by_the_fields_name(overrides, field):
    manifest = msgspec.structs.replace(SUM.manifest(), **overrides)
    with pytest.raises(ModelUnsupported) as caught:
        refuse_unsupported(manifest)
    assert str(caught.value).startswith(f"manifest field {field}")
    assert str(caught.value).endswith(" is not served by this version of Recur")


@pytest.mark.parametrize(
    "model", [SUM, zoo_foreign.layered_lstm(), zoo_foreign.scaled_sum(), zoo_foreign.half(), zoo_foreign.one_step()]
)
def test_what_is_served_is_not_refused(model):
    refuse_unsupported(model.manifest())
