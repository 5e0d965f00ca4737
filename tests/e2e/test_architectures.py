"""Every architecture of the table, exported, published, and streamed by the server through tritonclient."""

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import msgspec
import numpy as np
import pytest
import torch

from demo.serving import ROOT, serving
from models.golden import write_golden
from models.manifest import INITIAL, Graphs, Manifest
from models.repository import Repository
from models.tensors import Arrays
from tests.conformance.cells import CASES, SYMBOLS, WHOLE, WIDTH, Kind, exported, manifest_of, some_trial
from training.cell import Source
from training.export.initial import export_initial
from training.export.start import CONTEXT, SOURCE, export_start
from training.model import SequenceModel
from training.verify import Trial, answers

# All of them are exported before the first is asked, which takes minutes.
pytestmark = [pytest.mark.e2e, pytest.mark.timeout(1200)]

ROWS, TIME, SECONDS = 4, 11, 120
EVERY: Mapping[str, Kind] = CASES | WHOLE


def model_name(case: str) -> str:
    return case.replace(" ", "-")


def publish(repository: Repository, folder: Path, case: str, kind: Kind) -> SequenceModel:
    done = exported(kind)
    torch.manual_seed(0)
    trial = some_trial(done.model, [3, 5, 2])
    golden = folder / f"{case}.npz"
    write_golden(
        golden,
        {"x": trial.x, "lengths": trial.lengths, **trial.states},
        answers(done.model, trial),
        start=begun(done.model),
    )
    graphs = {"model.onnx": done.main, "step.onnx": done.step, "start.onnx": export_start(done.model)}
    files = {"golden.npz": golden}
    for file, graph in graphs.items():
        if graph is not None:
            files[file] = folder / f"{case}.{file}"
            files[file].write_bytes(graph)
    if (initial := export_initial(done.model)) is not None:
        files[INITIAL] = folder / f"{case}.{INITIAL}"
        files[INITIAL].write_bytes(initial)
    roles = {file.removesuffix(".onnx"): file for file in files if file in ("step.onnx", "start.onnx")}
    draft, name = manifest_of(done.model), model_name(case)

    def describe(version: int, digests: dict[str, str]) -> Manifest:
        return msgspec.structs.replace(
            draft, name=name, version=version, files=digests, graphs=Graphs("model.onnx", **roles)
        )

    repository.publish(name, files, describe)
    return done.model


def begun(model: SequenceModel, told: np.ndarray | None = None) -> tuple[Arrays, Arrays] | None:
    """Give what a start graph is fed and makes; None for a model that is told nothing."""
    if not (model.context or model.source_symbols):
        return None
    told = some_told(model, 3) if told is None else told
    name, context = CONTEXT, torch.from_numpy(told)
    if model.source_symbols:
        name, context = SOURCE, Source(context, torch.full((len(told),), told.shape[1]))
    state = model.begin(len(told), context)
    return {name: told}, {f"state.{name}": tensor.detach().numpy() for name, tensor in state.items()}


def some_told(model: SequenceModel, rows: int) -> np.ndarray:
    """What rows are about, or written from."""
    random = np.random.default_rng(rows)
    if model.source_symbols:
        return random.integers(0, model.source_symbols, (rows, 5))
    return random.normal(size=(rows, model.context)).astype(np.float32)


def some_inputs(model: SequenceModel, random: np.random.Generator) -> np.ndarray:
    """What rows have at their steps: symbols, or rows of a grid."""
    if model.cell.across:
        return random.normal(size=(ROWS, TIME, WIDTH)).astype(np.float32)
    return random.integers(0, SYMBOLS, (ROWS, TIME))


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> tuple[Mapping[str, SequenceModel], Mapping[str, np.ndarray]]:
    """Serve every case and let tritonclient ask; gives the models, and what was asked and answered."""
    folder = tmp_path_factory.mktemp("architectures")
    repository, random = Repository(folder / "models"), np.random.default_rng(0)
    models = {case: publish(repository, folder, case, kind) for case, kind in EVERY.items()}
    told: dict[str, np.ndarray] = {}
    for case in EVERY:
        told[model_name(case)] = some_inputs(models[case], random)
        told[f"{model_name(case)}.lengths"] = np.array([TIME, 1, 6, 9])
        if models[case].context or models[case].source_symbols:
            told[f"{model_name(case)}.told"] = some_told(models[case], ROWS)
    np.savez(folder / "asked.npz", **told)
    command = [sys.executable, "-m", "tests.e2e.every"]
    with serving(repository.root) as server:
        path = str(folder / "asked.npz")
        done = subprocess.run(
            [*command, server.listen, path], cwd=ROOT, capture_output=True, text=True, timeout=SECONDS, check=False
        )
    assert done.returncode == 0, done.stderr
    return models, told | dict(np.load(f"{path}.answers.npz"))


@pytest.mark.parametrize("case", EVERY)
def test_an_architecture_answers_through_the_server_as_in_torch(asked, case):
    models, told = asked
    name, model = model_name(case), models[case]
    if (made := begun(model, told.get(f"{name}.told"))) is not None:
        _, state = made
    else:
        state = {f"state.{part}": tensor.detach().numpy() for part, tensor in model.cell.init_state(ROWS).items()}
    expected = answers(model, Trial(told[name], told[f"{name}.lengths"], state))["y"]
    np.testing.assert_allclose(told[f"{name}.ragged"], expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("case", EVERY)
def test_chunks_on_a_stream_and_ragged_rows_of_a_request_are_the_same_bits(asked, case):
    _, told = asked
    assert np.array_equal(told[f"{model_name(case)}.chunked"], told[f"{model_name(case)}.ragged"])
