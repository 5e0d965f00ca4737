"""A run as a model of the contract: its manifest, and its files into the repository."""

from collections.abc import Mapping
from importlib.metadata import version as library_version

import torch

from models.manifest import GOLDEN, INITIAL, Decode, Graphs, Manifest, Measured, Provenance, StateSpec, TensorSpec
from models.repository import ModelVersion, Repository
from models.tensors import DType
from training import curves
from training.cell import state_shapes
from training.export.initial import initial_states
from training.model import SequenceModel
from training.pictures import FILE as LEARNED
from training.run import GRAPH, LABELS, RESULT, SOURCE_VOCABULARY, START, STEP, VERIFIED, VOCABULARY, Run
from training.tasks import TASKS

DTYPES: Mapping[torch.dtype, DType] = {torch.float32: "FP32", torch.int64: "INT64"}
LIBRARIES = ("lightning-fabric", "numpy", "onnx", "onnxruntime", "torch")


def publish(run: Run, model: SequenceModel, repository: Repository) -> ModelVersion:
    """Add a verified run to the repository as the next version of its recipe's name."""
    result, verified = run.read(RESULT, "train"), run.read(VERIFIED, "verify")
    figure = run.recipe.figure
    measured = Measured(
        metric=TASKS[run.recipe.task].metric,
        value=result["held_out"],
        published=figure.published,
        citation=figure.citation or None,
        parity_error=verified["parity_error"],
        batch_invariant=verified["batch_invariant"],
    )
    provenance = provenance_of(run)

    def describe_version(version: int, digests: Mapping[str, str]) -> Manifest:
        return describe(
            run, model, version, digests, tolerance=verified["tolerance"], measured=measured, provenance=provenance
        )

    names = (GRAPH, GOLDEN, *files_beside(run), curves.FILE, *_picture(run), *([STEP] if verified.get("step") else []))
    files = {name: run.path(name) for name in names}
    return repository.publish(run.recipe.name, files, describe_version)


def _decode(run: Run) -> Decode:
    """Say what a generation begins and ends with, where sequences do."""
    result = run.read(RESULT, "train")
    edge = result.get("edge")
    stops = run.recipe.task == "stop_unit"
    end = edge if result.get("ends") == "symbol" and not stops else None
    lengths = tuple(result.get("lengths", ()))
    return Decode("y", "x", "categorical", start=edge, end=end, stop_unit=stops, lengths=lengths)


def _picture(run: Run) -> list[str]:
    return [LEARNED] if run.path(LEARNED).exists() else []


def files_beside(run: Run) -> list[str]:
    """Give the files that a model has beside its graph: what sequences begin with, names of symbols and classes."""
    return [name for name in (START, INITIAL, VOCABULARY, SOURCE_VOCABULARY, LABELS) if run.path(name).exists()]


def provenance_of(run: Run) -> Provenance:
    """Tell where a trained run's models come from."""
    recipe, result = run.recipe, run.read(RESULT, "train")
    return Provenance(
        recipe=recipe.name,
        seed=recipe.training.seed,
        data=result["data"],
        data_licence=result["licence"],
        libraries={name: library_version(name) for name in LIBRARIES},
    )


def states_of(model: SequenceModel) -> tuple[StateSpec, ...]:
    """Describe the states of a model, and where those that do not begin at zero have what they begin with."""
    stored, shapes, free = initial_states(model), state_shapes(model.cell), model.cell.free
    return tuple(
        StateSpec(
            f"state.{name}",
            f"next_state.{name}",
            DTYPES[tensor.dtype],
            shapes[name],
            initial=f"{INITIAL}:{name}" if name in stored else "zeros",
            length_of=f"state.{free[name]}_length" if name in free else None,
        )
        for name, tensor in model.cell.init_state(1).items()
    )


def outputs_of(model: SequenceModel) -> tuple[TensorSpec, ...]:
    """Describe what a model answers: first the answers themselves."""
    told = (TensorSpec(name, "FP32", ("time", axis)) for name, axis in model.cell.tells.items())
    return (TensorSpec("y", "FP32", ("time", model.outputs)), *told)


def describe(
    run: Run,
    model: SequenceModel,
    version: int,
    digests: Mapping[str, str],
    *,
    tolerance: float,
    measured: Measured | None = None,
    provenance: Provenance | None = None,
) -> Manifest:
    """Write the manifest of a model."""
    recipe = run.recipe
    return Manifest(
        name=recipe.name,
        version=version,
        architecture=recipe.architecture,
        kind="step" if model.cell.causal else "sequence",
        files=dict(digests),
        graphs=Graphs(main=GRAPH, start=START if START in digests else None, step=STEP if STEP in digests else None),
        inputs=(TensorSpec("x", "INT64" if model.symbols else "FP32", ("time", *model.step_axes)),),
        outputs=outputs_of(model),
        lengths="lengths",
        states=states_of(model),
        decode=_decode(run) if TASKS[recipe.task].writes else None,
        vocabulary=VOCABULARY if VOCABULARY in digests else None,
        spelled=model.cell.spelled,
        labels=LABELS if LABELS in digests else None,
        delay=model.cell.delay,
        refuses=model.cell.refuses or None,
        golden_source="torch",
        tolerance=tolerance,
        measured=measured or Measured(),
        provenance=provenance or Provenance(),
    )
