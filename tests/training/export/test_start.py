import numpy as np
import onnxruntime as ort
import pytest
import torch

from training.architectures import build_cell
from training.export.start import CONTEXT, export_start
from training.model import symbol_model

CELLS = {
    "both": ("vector_to_sequence", {"way": "both", "context_size": 6}),
    "input": ("vector_to_sequence", {"way": "input", "context_size": 6}),
    "initial": ("vector_to_sequence", {"way": "initial", "context_size": 6}),
    "length": ("countdown", {}),
    "length and vector": ("countdown", {"layer": {"architecture": "vector_to_sequence", "context_size": 5}}),
}


def model_of(name: str, options: dict):
    return symbol_model(symbols=5, embedding_size=3, cell=build_cell(name, 3, 4, options), dropout=0.0)


@pytest.mark.parametrize("case", CELLS)
def test_the_start_graph_begins_as_the_cell_does_for_any_number_of_rows(case, seed):
    torch.manual_seed(seed)
    model = model_of(*CELLS[case])
    session = ort.InferenceSession(export_start(model))
    for rows in (1, 2, 7):
        context = torch.randn(rows, model.context)
        names = [output.name for output in session.get_outputs()]
        found = dict(zip(names, session.run(names, {CONTEXT: context.numpy()}), strict=True))
        expected = {f"state.{name}": tensor.detach().numpy() for name, tensor in model.begin(rows, context).items()}
        assert found.keys() == expected.keys()
        for name, array in expected.items():
            np.testing.assert_allclose(found[name], array, atol=1e-6)


def test_a_cell_that_is_told_nothing_has_none():
    assert export_start(model_of("gru", {})) is None
