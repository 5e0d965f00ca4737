"""The stages of a job over one run folder, each done once: train, export, verify, publish, and quantize if asked."""

import io
import time
from collections.abc import Callable, Mapping
from typing import Any, final

import msgspec
import torch

from models.golden import write_golden
from models.manifest import GOLDEN
from models.repository import ModelVersion, Repository, digest_of
from training import curves
from training.architectures import build_cell
from training.data.baselines import baselines
from training.data.text import Text, load_text
from training.errors import RunInvalid, WrongUse
from training.export.graph import export, export_step
from training.export.lint import varying_operators
from training.export.trace import Traces
from training.model import SequenceModel
from training.processes import is_first
from training.publish import describe, publish
from training.quantize import publish_int8
from training.recipe import Recipe
from training.run import DONE_BY, GRAPH, PUBLISHED, QUANTIZED, RESULT, STEP, VERIFIED, VOCABULARY, WEIGHTS, Run
from training.trainer import Trainer, bits_per_symbol
from training.verify import TOLERANCE, verify

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
            self._told_text()
        if stage not in ("publish", "quantize") or not self._run.done(stage):
            return self._run.done(stage)
        # Published elsewhere, or deleted since, is not published here.
        published = self._run.read(DONE_BY[stage], stage)
        places = self._repository.list()
        return any(str(place.folder.resolve()) == published["folder"] for place in places)

    def _text(self) -> Text:
        """The recipe's text, the same as when the run began."""
        recipe = self._run.recipe
        text = load_text(recipe.data, shortest=recipe.training.batch * (recipe.training.steps + 1))
        self._run.hold_to(text.digest)
        return text

    def _told_text(self) -> Text:
        """The recipe's text, having said how it was read."""
        text = self._text()
        if text.note:
            self._say(f"train: {text.note}\n")
        return text

    def _train(self) -> None:
        recipe = self._run.recipe
        settings, text = recipe.training, self._told_text()
        torch.manual_seed(settings.seed)
        model = build_model(recipe, len(text.symbols))
        train, validation = text.encode(text.train), text.encode(text.validation)
        trainer = Trainer(settings, self._run.folder, model=model, train=train, validation=validation)
        self._say(
            f"train: {recipe.architecture} on {len(train):,} characters of {len(text.symbols)} kinds, "
            f"{sum(p.numel() for p in model.parameters()):,} parameters, {settings.updates} updates\n"
        )
        progress = trainer.fit()
        if trainer.is_first:
            self._finish_training(text, model, progress.history, progress.seconds)

    def _finish_training(
        self, text: Text, model: SequenceModel, history: list[tuple[int, float, float]], seconds: float
    ) -> None:
        held_out = bits_per_symbol(model, text.encode(text.held_out))
        references = baselines(text)
        title = f"{self._run.recipe.name}: held-out {held_out:.2f} bits per character after {history[-1][0]} updates"
        curves.draw_curve(self._run.path(curves.FILE), history, references, title=title)
        self._run.write_bytes(VOCABULARY, text.vocabulary().encode())
        weights = io.BytesIO()
        torch.save(model.state_dict(), weights)
        self._run.write_bytes(WEIGHTS, weights.getvalue())
        result = {"held_out": held_out, "baselines": references, "updates": history[-1][0], "seconds": seconds}
        self._run.write(RESULT, result | {"data": text.digest, "licence": text.licence, "symbols": len(text.symbols)})
        named = ", ".join(f"{name} {value:.2f}" for name, value in references.items())
        self._say(f"train: held-out {held_out:.3f} bits per character ({named}) in {seconds:.0f} s of updates\n")

    def _export(self) -> None:
        model, traces = self._model(), Traces()
        graph, step = export(model, traces), export_step(model, traces)
        if step is not None:
            self._run.write_bytes(STEP, step)
        self._run.write_bytes(GRAPH, graph)
        beside = "" if step is None else f", and {STEP} for single steps"
        self._say(f"export: {self._run.path(GRAPH)}, {len(graph) / 1e6:.2f} MB{beside}\n")
        if varying := varying_operators(graph):
            self._say(f"export: not batch-invariant, since ONNX Runtime's {', '.join(varying)} depends on the batch\n")

    def _verify(self) -> None:
        self._run.need("export")
        model, graph, step = self._model(), self._run.path(GRAPH).read_bytes(), self._step_graph()
        digests = {GRAPH: digest_of(graph), GOLDEN: digest_of(b""), VOCABULARY: digest_of(b"")}
        draft = describe(self._run, model, 1, digests, tolerance=TOLERANCE)
        found = verify(model, draft, graph, step=step, seed=self._run.recipe.training.seed)
        write_golden(self._run.path(GOLDEN), found.fed, found.answered)
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
        text = self._text()
        variant = publish_int8(self._run, self._model(), self._repository, text.encode(text.held_out))
        place, measured = variant.place, variant.measured
        self._run.write(QUANTIZED, _written(place) | msgspec.to_builtins(measured))
        before = self._run.read(RESULT, "train")["held_out"]
        invariant = "batch-invariant" if measured.batch_invariant else "not batch-invariant"
        self._say(f"quantize: {place.name} {place.version}, {place.folder}\n")
        self._say(
            f"quantize: {variant.size / 1e6:.2f} MB (float32 {variant.size_before / 1e6:.2f}), "
            f"held-out {measured.value:.3f} bits per character (float32 {before:.3f}), "
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
        """The trained model as the run folder has it."""
        result = self._run.read(RESULT, "train")
        model = build_model(self._run.recipe, result["symbols"])
        model.load_state_dict(torch.load(self._run.path(WEIGHTS), map_location="cpu", weights_only=True))
        return model


def _written(place: ModelVersion) -> dict[str, Any]:
    return {"name": place.name, "version": place.version, "folder": str(place.folder.resolve())}


def build_model(recipe: Recipe, symbols: int) -> SequenceModel:
    """Build the recipe's model with fresh parameters."""
    sizes = recipe.model
    try:
        cell = build_cell(recipe.architecture, sizes.embedding_size, sizes.hidden_size, recipe.cell)
    except ValueError as error:
        raise WrongUse(f"recipe '{recipe.name}': {error}") from error
    return SequenceModel(symbols=symbols, embedding_size=sizes.embedding_size, cell=cell, dropout=sizes.dropout)
