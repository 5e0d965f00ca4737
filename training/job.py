"""The stages of a job over one run folder, each done once: train, export, verify, publish, and quantize if asked."""

import io
import json
import time
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any, final

import msgspec
import torch

from models.golden import write_golden
from models.manifest import GOLDEN, INITIAL
from models.repository import ModelVersion, Repository, digest_of
from training import curves
from training.building import Shape, build_model, fresh_model, shape_of
from training.checkpoint import Progress
from training.closed_form import fit_readout
from training.data.data import Data
from training.data.opening import open_data
from training.errors import RunInvalid
from training.evaluate import evaluate
from training.export.graph import export, export_step
from training.export.initial import export_initial
from training.export.lint import varying_operators
from training.export.start import export_start
from training.export.trace import Traces
from training.model import SequenceModel
from training.pictures import FILE as LEARNED
from training.pictures import PICTURES
from training.processes import is_first
from training.publish import describe, files_beside, publish
from training.quantize import publish_int8
from training.recipe import Recipe
from training.run import (
    DONE_BY,
    GRAPH,
    LABELS,
    PUBLISHED,
    QUANTIZED,
    RESULT,
    SOURCE_VOCABULARY,
    START,
    STEP,
    VERIFIED,
    VOCABULARY,
    WEIGHTS,
    Run,
)
from training.tasks import open_task
from training.tasks.base import Task
from training.trainer import LOG, Trainer, write_log
from training.verify import TOLERANCE, verify, verify_start

STAGES = ("train", "export", "verify", "publish", "quantize")


@final
class Job:
    """A run and the repository that its model goes to; says what it does, from the first process alone."""

    def __init__(self, run: Run, repository: Repository, *, say: Callable[[str], object]) -> None:
        self._run = run
        self._repository = repository
        self._say = say if is_first() else lambda _: None

    def through(self, last: str) -> None:
        """Do every stage up to `last` that is not done yet; where several processes train, the first does the rest.

        A model is quantized where its recipe asks for it.
        """
        began = time.monotonic()
        for stage in STAGES[: STAGES.index(last) + 1]:
            if stage != "train" and not is_first():
                return
            if stage == "quantize" and not self._run.recipe.export.int8:
                continue
            if self._is_done(stage):
                self._say(f"{stage}: done before, in {self._run.folder}\n")
            else:
                self.do(stage)
        self._say(f"done in {time.monotonic() - began:.0f} s; all that was measured is in {self._run.folder}\n")

    def do(self, stage: str) -> None:
        """Do one stage, done before or not."""
        stages: Mapping[str, Callable[[], None]] = {
            "train": self._train,
            "export": self._export,
            "verify": self._verify,
            "publish": self._publish,
            "quantize": self._quantize,
        }
        stages[stage]()

    def _is_done(self, stage: str) -> bool:
        if stage == "train" and self._run.done("train"):
            self._told_data()
        if stage not in ("publish", "quantize") or not self._run.done(stage):
            return self._run.done(stage)
        # Published elsewhere, or deleted since, is not published here.
        published = self._run.read(DONE_BY[stage], stage)
        places = self._repository.list()
        return any(str(place.folder.resolve()) == published["folder"] for place in places)

    def _data(self) -> Data:
        """The recipe's data, the same as when the run began."""
        recipe = self._run.recipe
        data = open_data(recipe.data, shortest=recipe.training.batch * (recipe.training.steps + 1))
        self._run.hold_to(data.digest)
        return data

    def _told_data(self) -> Data:
        """The recipe's data, having said how it was read."""
        data = self._data()
        if data.note:
            self._say(f"train: {data.note}\n")
        return data

    def _train(self) -> None:
        recipe = self._run.recipe
        settings, data = recipe.training, self._told_data()
        model = fresh_model(recipe, data)
        data = data.delayed(model.cell.delay)
        task = open_task(recipe.task, model, data)
        learnt = sum(p.numel() for p in model.parameters())
        how = "in closed form" if settings.solver == "ridge" else f"{settings.updates} updates"
        self._say(f"train: {recipe.architecture} on {_amount(data)}, {learnt:,} parameters, {how}\n")
        if settings.solver == "ridge":
            progress = fit_readout(settings, model, task, data)
            write_log(self._run.path(LOG), progress)
        else:
            progress = self._fit(model, task, data)
        if is_first():
            self._finish_training(data, model, task, progress)

    def _fit(self, model: SequenceModel, task: Task, data: Data) -> Progress:
        trainer = Trainer(
            self._run.recipe.training,
            self._run.folder,
            model=model,
            task=task,
            train=data.parts.train,
            validation=data.parts.validation,
        )
        return trainer.fit()

    def _finish_training(self, data: Data, model: SequenceModel, task: Task, progress: Progress) -> None:
        recipe, updates = self._run.recipe, progress.history[-1][0]
        held_out = evaluate(model, task, data.parts.test, unscored=recipe.unscored)
        if (figure := task.freely(model.eval(), data.parts.test)) is not None:
            held_out = held_out._replace(figure=figure)
        named = f"{held_out.figure:.4g} {task.metric.replace('_', ' ')}"
        title = f"{recipe.name}: held-out {named} after {updates} updates"
        curves.draw_curve(self._run.path(curves.FILE), progress.history, data.baselines, unit=task.unit, title=title)
        texts_of = ((VOCABULARY, data.vocabulary), (LABELS, data.labels), (SOURCE_VOCABULARY, data.source_vocabulary))
        for name, texts in texts_of:
            if texts:
                self._run.write_bytes(name, "".join(f"{json.dumps(text)}\n" for text in texts).encode())
        weights = io.BytesIO()
        torch.save(model.state_dict(), weights)
        self._run.write_bytes(WEIGHTS, weights.getvalue())
        further = self._draw(model, data)
        result = {
            "held_out": held_out.figure,
            "further": dict(further),
            "loss": held_out.loss,
            "baselines": dict(data.baselines),
        }
        result |= {"updates": updates, "seconds": progress.seconds, "data": data.digest, "licence": data.licence}
        self._run.write(RESULT, result | {"shape": msgspec.to_builtins(shape_of(data)), **_ending(data)})
        self._say(f"train: held-out {named}{beside(recipe, data)} in {progress.seconds:.0f} s of updates\n")
        for name, value in further.items():
            self._say(f"train: {name.replace('_', ' ')} {value:.4g}\n")

    def _draw(self, model: SequenceModel, data: Data) -> Mapping[str, float]:
        """Draw what was learnt, where the task has a picture of it."""
        draw = PICTURES.get(self._run.recipe.task)
        return {} if draw is None else draw(self._run.path(LEARNED), model.eval(), data)

    def _export(self) -> None:
        model, traces = self._model(), Traces()
        graph, step = export(model, traces), export_step(model, traces)
        if step is not None:
            self._run.write_bytes(STEP, step)
        if (start := export_start(model)) is not None:
            self._run.write_bytes(START, start)
        if (initial := export_initial(model)) is not None:
            self._run.write_bytes(INITIAL, initial)
        self._run.write_bytes(GRAPH, graph)
        beside = "" if step is None else f", and {STEP} for single steps"
        self._say(f"export: {self._run.path(GRAPH)}, {len(graph) / 1e6:.2f} MB{beside}\n")
        if varying := varying_operators(graph):
            self._say(f"export: not batch-invariant, since ONNX Runtime's {', '.join(varying)} depends on the batch\n")

    def _verify(self) -> None:
        self._run.need("export")
        model, graph, step = self._model(), self._run.path(GRAPH).read_bytes(), self._step_graph()
        names = (GOLDEN, *files_beside(self._run))
        digests = {GRAPH: digest_of(graph), **dict.fromkeys(names, digest_of(b""))}
        draft = describe(self._run, model, 1, digests, tolerance=TOLERANCE)
        found = verify(model, draft, graph, step=step, seed=self._run.recipe.training.seed)
        started = None
        if self._run.path(START).exists():
            start = self._run.path(START).read_bytes()
            started = verify_start(model, draft, graph, start, tolerance=found.tolerance)
        write_golden(self._run.path(GOLDEN), found.fed, found.answered, start=started)
        measured = {"graph": digest_of(graph), "parity_error": found.parity_error, "tolerance": found.tolerance}
        measured |= {"step": digest_of(step) if step is not None and found.step_exact else None}
        self._run.write(VERIFIED, measured | {"batch_invariant": found.batch_invariant})
        invariant = "the same bits in any batch and any chunks" if found.batch_invariant else "not batch-invariant"
        self._say(f"verify: within {found.parity_error:.2g} of torch (tolerance {found.tolerance:.2g}), {invariant}\n")
        if not found.step_exact:
            self._say(f"verify: {STEP} differs from {GRAPH} in its last bits and is left out\n")

    def _publish(self) -> None:
        self._need_verified()
        place = publish(self._run, self._model(), self._repository)
        self._run.write(PUBLISHED, _written(place))
        self._say(f"publish: {place.name} {place.version}, {place.folder}\n")

    def _quantize(self) -> None:
        self._need_verified()
        model = self._model()
        data = self._data().delayed(model.cell.delay)
        task = open_task(self._run.recipe.task, model, data)
        variant = publish_int8(self._run, model, self._repository, task, data.parts.test)
        place, measured = variant.place, variant.measured
        self._run.write(QUANTIZED, _written(place) | msgspec.to_builtins(measured))
        before = self._run.read(RESULT, "train")["held_out"]
        invariant = "batch-invariant" if measured.batch_invariant else "not batch-invariant"
        self._say(f"quantize: {place.name} {place.version}, {place.folder}\n")
        self._say(
            f"quantize: {variant.size / 1e6:.2f} MB (float32 {variant.size_before / 1e6:.2f}), "
            f"held-out {measured.value:.4g} {task.metric.replace('_', ' ')} (float32 {before:.4g}), "
            f"within {measured.parity_error:.2g} of torch, {invariant}\n"
        )

    def _need_verified(self) -> None:
        """Raise RunInvalid unless the graph is the one that was verified."""
        verified = self._run.read(VERIFIED, "verify")
        if digest_of(self._run.path(GRAPH).read_bytes()) != verified.get("graph"):
            raise RunInvalid(f"{GRAPH} has changed since it was verified; `verify {self._run.folder}` comes first")
        if verified.get("step") not in (None, digest_of(self._step_graph() or b"")):
            raise RunInvalid(f"{STEP} has changed since it was verified; `verify {self._run.folder}` comes first")

    def _step_graph(self) -> bytes | None:
        """The graph of one step, where the cell has one."""
        path = self._run.path(STEP)
        return path.read_bytes() if path.exists() else None

    def _model(self) -> SequenceModel:
        return trained_model(self._run)


def trained_model(run: Run) -> SequenceModel:
    """Give the trained model as a run folder has it; raises RunInvalid where there is none."""
    result = run.read(RESULT, "train")
    if "shape" not in result:
        raise RunInvalid(f"'{run.folder}' was trained by an older version; train it again")
    model = build_model(run.recipe, msgspec.convert(result["shape"], Shape))
    model.load_state_dict(torch.load(run.path(WEIGHTS), map_location="cpu", weights_only=True))
    return model


def _written(place: ModelVersion) -> dict[str, Any]:
    return {"name": place.name, "version": place.version, "folder": str(place.folder.resolve())}


def _ending(data: Data) -> dict[str, object]:
    """Say how sequences of symbols begin and end, and of a length that is drawn first how likely each is."""
    found: dict[str, object] = {"edge": data.edge, "ends": data.ends, "about": list(data.about)}
    if data.ends == "length":
        counts = Counter(len(one.inputs) for one in data.parts.train)
        found["lengths"] = [counts[length] / counts.total() for length in range(max(counts) + 1)]
    return found if data.ends else {}


def _amount(data: Data) -> str:
    """Say how much there is to train on."""
    train = data.parts.train
    steps = sum(len(one.inputs) for one in train)
    kinds = f" of {data.symbols} kinds" if data.symbols else ""
    return f"{steps:,} steps{kinds}" + (f" in {len(train):,} sequences" if len(train) > 1 else "")


def beside(recipe: Recipe, data: Data) -> str:
    """Say what the figure is to be compared with: baselines, what it must reach, what was published."""
    figure = recipe.figure
    said = [f"{name} {value:.4g}" for name, value in data.baselines.items()]
    said += [f"must {figure.must:.4g}"] if figure.must is not None else []
    said += [f"published {figure.published:.4g}"] if figure.published is not None else []
    return f" ({', '.join(said)})" if said else ""
