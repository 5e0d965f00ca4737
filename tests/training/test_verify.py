import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper

from models.manifest import Manifest
from models.runner import Runner
from tests.conformance.cells import case, manifest_of, model_of
from training import verify as module
from training.architectures.lstm import LSTM
from training.architectures.rnn import RNN
from training.errors import VerificationFailed
from training.export.graph import export
from training.export.int8 import quantize
from training.model import SequenceModel, symbol_model
from training.verify import TOLERANCE, answers, measure_quantized, verify


def parts(seed: int) -> tuple[SequenceModel, Manifest, bytes]:
    torch.manual_seed(seed)
    model = model_of(LSTM)
    return model, manifest_of(model), export(model)


def changed(graph: bytes, constant: str, change) -> bytes:
    proto = onnx.load_from_string(graph)
    (tensor,) = [tensor for tensor in proto.graph.initializer if tensor.name == constant]
    tensor.CopyFrom(numpy_helper.from_array(change(numpy_helper.to_array(tensor).copy()), constant))
    return proto.SerializeToString()


def test_a_true_graph_is_measured(seed):
    model, manifest, graph = parts(seed)
    found = verify(model, manifest, graph, seed=seed)
    assert 0 <= found.parity_error <= found.tolerance == TOLERANCE
    assert found.batch_invariant
    assert found.fed.keys() == {"x", "lengths", "state.h", "state.c"}
    assert found.answered.keys() == {"y", "next_state.h", "next_state.c"}


def test_the_golden_answers_are_torchs(seed):
    model, manifest, graph = parts(seed)
    found = verify(model, manifest, graph, seed=seed)
    states = {name: found.fed[name] for name in ("state.h", "state.c")}
    expected = answers(model, module.Trial(found.fed["x"], found.fed["lengths"], states))
    assert all(np.array_equal(found.answered[name], array) for name, array in expected.items())


def swap_gates(weights: np.ndarray) -> np.ndarray:
    i, o, f, c = np.split(weights, 4, axis=1)
    return np.concatenate([f, o, i, c], axis=1)


def add_to_one(weights: np.ndarray) -> np.ndarray:
    weights.flat[0] += 0.01
    return weights


def make_nan(weights: np.ndarray) -> np.ndarray:
    weights.flat[-1] = np.nan
    return weights


@pytest.mark.parametrize("constant", ["cell.U", "cell.W", "cell.b", "readout.weight", "readout.bias", "embedding"])
@pytest.mark.parametrize("change", [add_to_one, make_nan])
def test_one_wrong_number_in_the_graph_is_caught(seed, constant, change):
    model, manifest, graph = parts(seed)
    with pytest.raises(VerificationFailed, match=r"the graph differs from torch by .*, more than the tolerance 1e-05"):
        verify(model, manifest, changed(graph, constant, change), seed=seed)


def test_swapped_gates_are_caught(seed):
    model, manifest, graph = parts(seed)
    with pytest.raises(VerificationFailed):
        verify(model, manifest, changed(graph, "cell.W", swap_gates), seed=seed)


def test_a_graph_that_ignores_lengths_is_caught(seed):
    model, manifest, graph = parts(seed)
    proto = onnx.load_from_string(graph)
    (node,) = [node for node in proto.graph.node if node.op_type == "LSTM"]
    node.input[4] = ""
    with pytest.raises(VerificationFailed):
        verify(model, manifest, proto.SerializeToString(), seed=seed)


def test_rows_that_depend_on_their_batch_are_caught_though_torch_agrees(seed, monkeypatch):
    model, manifest, graph = parts(seed)
    # Both sides add the batch's size, so only the regrouping can tell.
    run, answer = Runner.run, module.answers

    def run_by_batch(self, inputs, lengths, states):
        outputs, next_states = run(self, inputs, lengths, states)
        return {"y": outputs["y"] + np.float32(len(lengths))}, next_states

    def answers_by_batch(model, trial):
        found = answer(model, trial)
        return found | {"y": found["y"] + found["y"].dtype.type(len(trial.lengths))}

    monkeypatch.setattr(Runner, "run", run_by_batch)
    monkeypatch.setattr(module, "answers", answers_by_batch)
    monkeypatch.setattr(module, "TOLERANCE", 1e-3)
    with pytest.raises(VerificationFailed, match="rows alone or in chunks differ from whole batches"):
        verify(model, manifest, graph, seed=seed)


def test_the_last_bit_that_depends_on_the_batch_is_not_called_invariant(seed, monkeypatch):
    model, manifest, graph = parts(seed)
    run = Runner.run

    def run_by_batch(self, inputs, lengths, states):
        outputs, next_states = run(self, inputs, lengths, states)
        return {"y": outputs["y"] + np.float32(1e-7 * (len(lengths) % 2))}, next_states

    monkeypatch.setattr(Runner, "run", run_by_batch)
    found = verify(model, manifest, graph, seed=seed)
    assert not found.batch_invariant


def quantized_parts(seed: int) -> tuple[SequenceModel, Manifest, bytes]:
    torch.manual_seed(seed)
    model = symbol_model(symbols=20, embedding_size=16, cell=LSTM(16, 32), dropout=0.0)
    return model, manifest_of(model), quantize(export(model))


def test_a_quantized_graph_is_measured_and_its_golden_answers_are_its_own(seed):
    model, manifest, graph = quantized_parts(seed)
    found = measure_quantized(model, manifest, graph, seed=seed)
    assert TOLERANCE < found.parity_error < 0.1
    assert found.tolerance == 2 * found.parity_error
    assert not found.batch_invariant
    inputs, states = {"x": found.fed["x"]}, {name: found.fed[name] for name in ("state.h", "state.c")}
    outputs, next_states = Runner(manifest, graph).run(inputs, found.fed["lengths"], states)
    answered = outputs | {f"next_{name}": array for name, array in next_states.items()}
    assert all(np.array_equal(found.answered[name], array) for name, array in answered.items())


def test_whether_it_is_batch_invariant_is_measured_and_not_assumed(seed):
    model, manifest, graph = parts(seed)
    assert measure_quantized(model, manifest, graph, seed=seed).batch_invariant


def test_the_error_of_a_quantized_graph_is_that_of_rows_alone_too(seed, monkeypatch):
    model, manifest, graph = quantized_parts(seed)
    run = Runner.run

    def run_alone_worse(self, inputs, lengths, states):
        outputs, next_states = run(self, inputs, lengths, states)
        return {"y": outputs["y"] + np.float32(5 * (len(lengths) == 1))}, next_states

    monkeypatch.setattr(Runner, "run", run_alone_worse)
    monkeypatch.setattr(module, "TRIALS", 3)
    assert measure_quantized(model, manifest, graph, seed=seed).parity_error > 4


def test_a_quantized_graph_whose_answers_are_no_numbers_is_refused(seed):
    model, manifest, graph = quantized_parts(seed)
    with pytest.raises(VerificationFailed, match="answers that are no numbers"):
        measure_quantized(model, manifest, changed(graph, "readout.bias", make_nan), seed=seed)


def test_a_model_whose_numbers_float32_cannot_hold_is_refused(seed):
    model, manifest, _ = parts(seed)
    with torch.no_grad():
        model.readout.weight.mul_(1e9)
    with pytest.raises(VerificationFailed, match="training has diverged"):
        verify(model, manifest, export(model), seed=seed)


def test_the_tolerance_follows_torchs_own_error_where_that_is_larger(seed):
    model, manifest, _ = parts(seed)
    with torch.no_grad():
        model.readout.weight.mul_(300)
    found = verify(model, manifest, export(model), seed=seed)
    assert found.parity_error <= found.tolerance
    assert TOLERANCE < found.tolerance <= 1e-2


def test_a_model_whose_small_differences_grow_is_held_to_the_steps_that_float32_can_follow(seed):
    torch.manual_seed(seed)
    model = model_of(lambda m, n: RNN(m, 40))
    with torch.no_grad():
        model.cell.W.mul_(30)
    found = verify(model, manifest_of(model), export(model), seed=seed)
    assert found.parity_error <= found.tolerance <= 1e-2
    longest = max(module._trial(model, np.random.default_rng(at)).x.shape[1] for at in range(20))
    assert 1 <= found.fed["x"].shape[1] < longest


def test_states_that_only_steps_make_are_made_by_steps(seed):
    torch.manual_seed(seed)
    model = model_of(case("differentiable_neural_computer", slots=5, width=3))
    states = module._random_states(model, 40, np.random.default_rng(seed))
    for name in ("w_w", "w_r", "p"):
        weights = states[f"state.{name}"]
        assert (weights >= 0).all()
        assert (weights.sum(-1) <= 1 + 1e-5).all()
    assert len(np.unique(states["state.w_w"], axis=0)) > 20


def test_an_output_of_another_shape_differs_without_end():
    found, expected = {"y": np.zeros((2, 1, 3))}, {"y": np.zeros((2, 5, 3))}
    assert module._difference(found, expected) == float("inf")


def test_a_number_that_is_none_is_not_lost_among_others():
    found, expected = {"y": np.zeros(2), "next_state.h": np.array([0.0, np.nan])}, {"y": np.ones(2)}
    assert module._difference(found, expected) == 1.0
    assert np.isnan(module._difference(found, expected | {"next_state.h": np.zeros(2)}))
    assert np.isnan(module._largest(iter([1.0, float("nan"), 2.0])))
