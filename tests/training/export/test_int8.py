import logging
import tempfile

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, numpy_helper

from tests import zoo, zoo_roles
from training.architectures.lstm import LSTM
from training.errors import TrainingError
from training.export.graph import export
from training.export.int8 import quantize
from training.model import symbol_model


@pytest.fixture(scope="module")
def graph() -> bytes:
    torch.manual_seed(0)
    return export(symbol_model(symbols=20, embedding_size=16, cell=LSTM(16, 64), dropout=0.0))


def test_a_graph_becomes_a_quarter_of_its_size(graph):
    assert len(quantize(graph)) < 0.4 * len(graph)


def test_weights_inside_a_scan_are_quantized_too():
    graph = zoo_roles.leaky(hidden=64).graph
    assert len(quantize(graph)) < 0.5 * len(graph)


def test_weights_have_seven_bits_so_that_no_processor_overflows_on_two_products(graph):
    tensors = onnx.load_from_string(quantize(graph)).graph.initializer
    weights = [numpy_helper.to_array(tensor) for tensor in tensors if tensor.data_type == TensorProto.INT8]
    assert max(np.abs(array.astype(int)).max() for array in weights) == 64


def test_each_row_of_a_matrix_has_a_scale_of_its_own(graph):
    (scales,) = [
        tensor for tensor in onnx.load_from_string(quantize(graph)).graph.initializer if "W_scale" in tensor.name
    ]
    assert len(np.unique(numpy_helper.to_array(scales))) > 200


def test_the_same_graph_is_quantized_to_the_same_bytes(graph):
    assert quantize(graph) == quantize(graph)


@pytest.mark.parametrize("model", [zoo.running_sum(), zoo.ledger(), zoo.lookup()], ids=lambda model: model.architecture)
def test_a_graph_that_becomes_no_smaller_is_refused_in_one_line(model):
    with pytest.raises(TrainingError, match="int8 makes the graph no smaller") as caught:
        quantize(model.graph)
    assert "\n" not in str(caught.value)


def test_nothing_is_written_but_the_answer(graph, tmp_path, capfd, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    # As in a process of its own: pytest's handlers are not there to catch what is logged.
    monkeypatch.setattr(logging.getLogger(), "handlers", [])
    quantize(graph)
    assert capfd.readouterr() == ("", "")
    assert logging.getLogger().handlers == []
    assert list(tmp_path.iterdir()) == []
