import onnx
import onnxruntime as ort
import torch
from torch import nn

from models.runner import Runner
from tests.conformance.cells import manifest_of, model_of, some_trial
from training.architectures.lstm import LSTM
from training.export.builder import IR, OPSET
from training.export.graph import export, export_step
from training.verify import Trial


def axes(value: onnx.ValueInfoProto) -> list[str | int]:
    return [axis.dim_param or axis.dim_value for axis in value.type.tensor_type.shape.dim]


def test_the_graph_is_batch_first_with_batch_and_time_free(seed):
    torch.manual_seed(seed)
    exported = onnx.load_from_string(export(model_of(LSTM)))
    onnx.checker.check_model(exported, full_check=True)
    assert (exported.ir_version, exported.opset_import[0].version) == (IR, OPSET) == (10, 21)
    assert {value.name: axes(value) for value in exported.graph.input} == {
        "x": ["batch", "time"],
        "lengths": ["batch"],
        "state.h": ["batch", 6],
        "state.c": ["batch", 6],
    }
    assert {value.name: axes(value) for value in exported.graph.output} == {
        "y": ["batch", "time", 7],
        "next_state.h": ["batch", 6],
        "next_state.c": ["batch", 6],
    }


def test_the_recurrence_is_one_native_node_and_its_weights_are_constants(seed):
    torch.manual_seed(seed)
    exported = onnx.load_from_string(export(model_of(LSTM))).graph
    operators = [node.op_type for node in exported.node]
    assert operators.count("LSTM") == operators.count("Gather") == operators.count("MatMul") == 1
    constants = {tensor.name for tensor in exported.initializer}
    for node in exported.node:
        if node.op_type in ("LSTM", "MatMul"):
            assert set(node.input[1:4]) <= constants | set(node.input[4:])


def test_two_exports_of_a_model_are_the_same_bytes(seed):
    torch.manual_seed(seed)
    model = model_of(LSTM)
    assert export(model) == export(model)


def test_onnx_runtime_says_nothing_as_it_loads_and_runs(seed, capfd):
    torch.manual_seed(seed)
    model = model_of(LSTM)
    exported = export(model)
    session = ort.InferenceSession(exported, providers=["CPUExecutionProvider"])
    for lengths in ([4], [3, 9, 1], [2] * 33):
        run_bare(session, some_trial(model, lengths))
    assert capfd.readouterr() == ("", "")


def test_onnx_runtime_would_be_heard_if_it_warned(seed, capfd):
    torch.manual_seed(seed)
    model = model_of(LSTM)
    wrong = onnx.load_from_string(export(model))
    wrong.graph.output[0].type.tensor_type.shape.dim[1].dim_value = 7
    run_bare(
        ort.InferenceSession(wrong.SerializeToString(), providers=["CPUExecutionProvider"]), some_trial(model, [4])
    )
    assert "does not match" in capfd.readouterr().err


def run_bare(session: ort.InferenceSession, trial: Trial) -> None:
    session.run(None, {"x": trial.x, "lengths": trial.lengths, **trial.states})


def test_padding_is_zero_in_the_graph_and_its_symbols_do_not_matter(seed):
    torch.manual_seed(seed)
    model = model_of(LSTM)
    runner = Runner(manifest_of(model), export(model))
    trial = some_trial(model, [3, 9])
    padded = trial.x.copy()
    padded[0, 3:] = (padded[0, 3:] + 1) % 7
    (one, state), (other, same) = (runner.run({"x": x}, trial.lengths, trial.states) for x in (trial.x, padded))
    assert not one["y"][0, 3:].any()
    assert one["y"][0, :3].all()
    assert one["y"].tobytes() == other["y"].tobytes()
    assert all(state[name].tobytes() == same[name].tobytes() for name in state)


def test_a_model_of_native_nodes_has_no_step_graph(seed):
    torch.manual_seed(seed)
    assert export_step(model_of(LSTM)) is None


def test_the_model_is_exported_as_it_answers_not_as_it_trains(seed):
    torch.manual_seed(seed)
    model = model_of(LSTM)
    evaluated = export(model.eval())
    assert isinstance(model.dropout, nn.Dropout)
    assert export(model.train()) == evaluated
