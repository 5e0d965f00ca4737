"""The model of the works that generate: an LSTM over characters, of the size of a small language model."""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from models.manifest import Decode, TensorSpec
from tests import zoo

SYMBOLS, EMBEDDED, HIDDEN = 103, 64, 256
INPUT, OUTPUT = "symbol", "y"


def writer() -> zoo.ZooModel:
    """Put an embedding before the zoo's LSTM, and let what it answers be fed back."""
    base = zoo.lstm(EMBEDDED, HIDDEN, SYMBOLS)
    model = onnx.load_from_string(base.graph)
    [x] = [tensor for tensor in model.graph.input if tensor.name == "x"]
    x.CopyFrom(helper.make_tensor_value_info(INPUT, TensorProto.INT64, ["batch", "time"]))
    table = np.random.default_rng(0).normal(size=(SYMBOLS, EMBEDDED)).astype(np.float32)
    model.graph.initializer.append(numpy_helper.from_array(table, "table"))
    model.graph.node.insert(0, helper.make_node("Gather", ["table", INPUT], ["x"]))
    onnx.checker.check_model(model, full_check=True)
    lengths = base.fed["lengths"]
    fed = {name: array for name, array in base.fed.items() if name != "x"}
    return zoo.ZooModel(
        architecture="lstm",
        graph=model.SerializeToString(),
        inputs=(TensorSpec(INPUT, "INT64", ("time",)),),
        outputs=base.outputs,
        states=base.states,
        fed={INPUT: np.arange(len(lengths) * int(lengths.max())).reshape(len(lengths), -1), **fed},
        decode=Decode(OUTPUT, INPUT, "categorical", start=0),
    )
