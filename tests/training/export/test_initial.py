import io

import numpy as np
import torch

from tests.conformance.cells import case, model_of
from training.export.initial import export_initial, initial_states


def test_states_that_do_not_begin_at_zero_have_a_row_each():
    model = model_of(case("neural_turing_machine", slots=5, width=3))
    assert initial_states(model).keys() == {"M", "w"}
    with torch.no_grad():
        model.cell.first["h"].add_(0.5)
    stored = np.load(io.BytesIO(export_initial(model)))
    assert set(stored.files) == {"h", "M", "w"}
    for name, row in model.cell.init_state(1).items():
        if name in stored:
            assert stored[name].dtype == np.float32
            assert np.array_equal(stored[name][None], row.detach().numpy())


def test_a_layer_of_a_stack_begins_as_it_does_alone():
    model = model_of(case("stack", layers=("gru", {"architecture": "neural_turing_machine", "slots": 5})))
    assert initial_states(model).keys() == {"1.M", "1.w"}


def test_a_model_that_begins_at_zero_has_no_file():
    assert export_initial(model_of(case("lstm"))) is None
