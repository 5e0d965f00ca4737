"""A cell that the exporter has never heard of: a history, a counter and a gate, written as plain Python."""

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch
from torch import Tensor, nn
from typing_extensions import override

from models.errors import GoldenMismatch
from models.golden import replay_golden, write_golden
from models.runner import Runner
from tests.conformance.cells import manifest_of, some_trial
from tests.training.export.test_graph import axes, run_bare
from training.cell import Cell, State
from training.export import scan, trace
from training.export.graph import export, export_step
from training.export.trace import Traces
from training.model import SequenceModel, symbol_model
from training.verify import answers, verify

N, DELAY, SYMBOLS = 6, 3, 7


class Unheard(Cell):
    """Reads its output of three steps ago, in every other step."""

    def __init__(self, *, varying: bool = False) -> None:
        super().__init__()
        self.input_size, self.output_size, self.varying = 5, N, varying
        self.U, self.V = nn.Parameter(torch.randn(N, 5)), nn.Parameter(torch.randn(N, N))

    @override
    def init_state(self, batch_size: int) -> State:
        past = self.U.new_zeros(batch_size, DELAY, N)
        return {"past": past, "t": torch.zeros(batch_size, 1, dtype=torch.int64, device=past.device)}

    @override
    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        past, t = state["past"], state["t"]
        read = torch.where(t % 2 == 0, past[:, -1], torch.zeros_like(past[:, -1]))
        h = torch.tanh(x @ self.U.T + read @ self.V.T)
        h = nn.functional.softplus(h) if self.varying else h
        return h, {"past": torch.cat([h[:, None], past[:, :-1]], 1), "t": t + 1}


def model(seed: int, *, varying: bool = False) -> SequenceModel:
    torch.manual_seed(seed)
    return symbol_model(symbols=SYMBOLS, embedding_size=5, cell=Unheard(varying=varying), dropout=0.0).eval()


@pytest.fixture(scope="module")
def exported() -> tuple[SequenceModel, bytes, bytes]:
    built, traces = model(0), Traces()
    step = export_step(built, traces)
    assert step is not None
    return built, export(built, traces), step


def test_it_answers_as_torch_with_the_step_graph_and_without(exported):
    built, main, step = exported
    runner = Runner(manifest_of(built), main, step=step)
    for lengths in ([1], [9], [3, 9, 1, 5], [2] * 17):
        trial = some_trial(built, lengths)
        outputs, next_states = runner.run({"x": trial.x}, trial.lengths, trial.states)
        found = outputs | {f"next_{name}": array for name, array in next_states.items()}
        for name, expected in answers(built, trial).items():
            assert found[name].dtype == expected.dtype
            np.testing.assert_allclose(found[name], expected, rtol=0, atol=1e-5)


def test_verification_measures_it_and_its_step_graph_is_exact(exported):
    built, main, step = exported
    found = verify(built, manifest_of(built), main, step=step, seed=0)
    assert found.parity_error <= found.tolerance == 1e-5
    assert found.step_exact
    assert found.batch_invariant


def test_the_golden_answers_replay_through_both_graphs(exported, tmp_path):
    built, main, step = exported
    found = verify(built, manifest_of(built), main, step=step, seed=0)
    write_golden(tmp_path / "golden.npz", found.fed, found.answered)
    golden = (tmp_path / "golden.npz").read_bytes()
    assert replay_golden(Runner(manifest_of(built), main, step=step), golden) <= 1e-5
    with pytest.raises(GoldenMismatch, match="the step graph's"):
        replay_golden(Runner(manifest_of(built), main, step=nudged(step)), golden)


def nudged(step: bytes) -> bytes:
    proto = onnx.load_from_string(step)
    (bias,) = [tensor for tensor in proto.graph.initializer if tensor.name == "readout.bias"]
    bias.CopyFrom(onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(bias) * np.float32(1 + 1e-6), bias.name))
    return proto.SerializeToString()


def test_a_step_graph_that_differs_in_its_last_bits_is_left_out(exported):
    built, main, step = exported
    found = verify(built, manifest_of(built), main, step=nudged(step), seed=0)
    assert not found.step_exact
    assert found.batch_invariant


def test_the_main_graph_is_one_scan_whose_weights_are_constants_outside_it(exported):
    main = onnx.load_from_string(exported[1])
    onnx.checker.check_model(main, full_check=True)
    assert (main.ir_version, [(used.domain, used.version) for used in main.opset_import]) == (10, [("", 21)])
    (node,) = [node for node in main.graph.node if node.op_type == "Scan"]
    (body,) = [attribute.g for attribute in node.attribute if attribute.name == "body"]
    floats = [tensor for tensor in body.initializer if tensor.data_type == onnx.TensorProto.FLOAT]
    assert not floats
    constants = {tensor.name for tensor in main.graph.initializer}
    products = [inner for inner in body.node if inner.op_type in ("MatMul", "Gemm")]
    assert len(products) == 2
    assert all(inner.input[1] in constants for inner in products)
    assert {value.name: axes(value) for value in main.graph.input} == {
        "x": ["batch", "time"],
        "lengths": ["batch"],
        "state.past": ["batch", DELAY, N],
        "state.t": ["batch", 1],
    }


def test_the_step_graph_has_neither_lengths_nor_time(exported):
    step = onnx.load_from_string(exported[2])
    assert {value.name: axes(value) for value in step.graph.input} == {
        "x": ["batch"],
        "state.past": ["batch", DELAY, N],
        "state.t": ["batch", 1],
    }
    assert axes(step.graph.output[0]) == ["batch", SYMBOLS]
    assert not [node for node in step.graph.node if node.op_type == "Scan"]


def test_onnx_runtime_says_nothing(exported, capfd):
    built, main, step = exported
    session = ort.InferenceSession(main, providers=["CPUExecutionProvider"])
    for lengths in ([4], [3, 9, 1], [2] * 33):
        run_bare(session, some_trial(built, lengths))
    trial = some_trial(built, [1, 1])
    session = ort.InferenceSession(step, providers=["CPUExecutionProvider"])
    session.run(None, {"x": trial.x[:, 0], **trial.states})
    assert capfd.readouterr() == ("", "")


def test_two_exports_are_the_same_bytes_and_say_nothing_of_this_machine(exported, capfd):
    built, main, step = exported
    assert export(built) == main
    assert export_step(built) == step
    assert capfd.readouterr() == ("", "")
    assert b".py" not in main + step


def test_an_export_leaves_the_cell_as_it_was(exported):
    cell = Unheard().double().train()
    Traces().step(cell, "")
    assert cell.training
    assert cell.U.dtype == torch.float64
    assert cell.U.requires_grad


def test_operators_that_depend_on_the_batch_are_not_called_invariant():
    built = model(0, varying=True)
    found = verify(built, manifest_of(built), export(built), seed=0)
    assert not found.batch_invariant


def test_weights_larger_than_the_exporter_folds_by_itself_are_constants_too():
    cell = Unheard()
    cell.U = nn.Parameter(torch.randn(N, 2000))
    cell.input_size = 2000
    assert not [node for node in trace.Traces().step(cell, "").node if node.op_type == "Transpose"]


def test_a_graph_that_forgets_the_lengths_is_seen(exported, monkeypatch):
    built = exported[0]
    monkeypatch.setattr(scan, "_kept", lambda inner, valid, old, new: new)
    trial = some_trial(built, [3, 9])
    found = Runner(manifest_of(built), export(built)).run({"x": trial.x}, trial.lengths, trial.states)[1]
    assert np.abs(found["state.past"] - answers(built, trial)["next_state.past"]).max() > 1e-3
