"""The int8 variant of a verified run: its graph quantized, measured anew, and published as a model beside it."""

from collections.abc import Mapping
from dataclasses import dataclass

import msgspec
import numpy as np
import torch
from torch import Tensor

from models.golden import write_golden
from models.manifest import GOLDEN, Manifest, Measured, Quantized
from models.repository import ModelVersion, Repository, digest_of
from models.runner import Runner
from training.batches import Batch
from training.cell import State
from training.data.data import Sequences
from training.errors import WrongUse
from training.evaluate import Predictor, score
from training.export.int8 import quantize
from training.model import SequenceModel
from training.publish import describe, files_beside, provenance_of
from training.run import GRAPH, INT8_GOLDEN, INT8_GRAPH, Run
from training.tasks import TASKS
from training.tasks.base import Task
from training.verify import TOLERANCE, Verification, measure_quantized


@dataclass(frozen=True, slots=True)
class Variant:
    """An int8 variant: where it is published, what was measured of it, and its graph's bytes beside the model's."""

    place: ModelVersion
    measured: Measured
    size: int
    size_before: int


def publish_int8(run: Run, model: SequenceModel, repository: Repository, task: Task, held_out: Sequences) -> Variant:
    """Quantize a verified run's graph and publish it as the next version of the recipe's `int8_name`.

    Args:
        run: the run; the quantized graph and its golden answers stay in its folder.
        model: the trained model.
        repository: where to publish.
        task: what it is scored by.
        held_out: the sequences to score it on.

    Raises:
        TrainingError: the graph becomes no smaller, or its answers are no numbers.
    """
    if task.as_wholes:
        raise WrongUse(f"task '{run.recipe.task}' is not measured of an int8 variant: set export.int8=false")
    graph = run.path(GRAPH).read_bytes()
    small = quantize(graph)
    draft = describe(run, model, 1, dict.fromkeys(_files(run), digest_of(b"")), tolerance=TOLERANCE)
    found = measure_quantized(model, draft, small, seed=run.recipe.training.seed)
    run.write_bytes(INT8_GRAPH, small)
    write_golden(run.path(INT8_GOLDEN), found.fed, found.answered)

    def begin(batch: Batch) -> State:
        state = model.begin(len(batch.x), batch.context)
        return {f"state.{name}": tensor.detach() for name, tensor in state.items()}

    measured = Measured(
        metric=TASKS[run.recipe.task].metric,
        value=score(
            _predictor(Runner(draft, small)),
            begin,
            task,
            held_out,
            unscored=run.recipe.unscored + model.cell.delay,
            whole=not model.cell.causal,
        ).figure,
        parity_error=found.parity_error,
        batch_invariant=found.batch_invariant,
    )
    quantized = Quantized(of=run.recipe.name, graph=digest_of(graph), to="int8")
    place = _publish(run, model, repository, found, measured, quantized)
    return Variant(place, measured, len(small), len(graph))


def _files(run: Run) -> dict[str, str]:
    """The variant's files by their names in the repository, and what they are called in the run folder."""
    return {GRAPH: INT8_GRAPH, GOLDEN: INT8_GOLDEN, **{name: name for name in files_beside(run)}}


def _predictor(runner: Runner) -> Predictor:
    """Let the runner be scored as torch's model is; its states have the graph's names."""

    def predict(x: Tensor, state: State, valid: Tensor | None) -> tuple[Tensor, State]:
        lengths = np.full(len(x), x.shape[1], np.int64) if valid is None else valid.numpy()
        states = {name: tensor.numpy() for name, tensor in state.items()}
        outputs, next_states = runner.run({"x": x.numpy()}, lengths, states)
        return torch.from_numpy(outputs["y"]), {name: torch.from_numpy(array) for name, array in next_states.items()}

    return predict


def _publish(
    run: Run,
    model: SequenceModel,
    repository: Repository,
    found: Verification,
    measured: Measured,
    quantized: Quantized,
) -> ModelVersion:
    name = run.recipe.int8_name

    def describe_version(version: int, digests: Mapping[str, str]) -> Manifest:
        manifest = describe(
            run, model, version, digests, tolerance=found.tolerance, measured=measured, provenance=provenance_of(run)
        )
        return msgspec.structs.replace(manifest, name=name, golden_source="onnxruntime", quantized=quantized)

    return repository.publish(name, {name: run.path(file) for name, file in _files(run).items()}, describe_version)
