"""The training loop: batch after batch, validated and saved now and then, stopped and gone on with at any time."""

import json
import logging
import math
import signal
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from threading import Event
from types import FrameType
from typing import final

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from training.batches import Batch, Batches, Bucketed, Processes, Stretches
from training.cell import State
from training.checkpoint import Progress, load_checkpoint, save_checkpoint
from training.clipping import clip
from training.data.data import Sequences
from training.errors import Diverged, Interrupted, WrongUse
from training.evaluate import evaluate, in_rows
from training.events import Events
from training.learning import way_to_learn
from training.model import SequenceModel
from training.processes import machines, on_this_machine
from training.progress import Reporter, reporter
from training.recipe import TrainingSettings
from training.schedule import learning_rate
from training.tasks.base import Task, is_stepwise

LOG = "log.jsonl"
VALIDATION_ROWS = 8
# Steps that gradients may go back through: every one keeps what it computed.
LONGEST = 20_000


@final
class Trainer:
    """Trains a model on sequences, in one process or in several (`torchrun`, `fabric run`).

    Args:
        settings: of the recipe.
        folder: where the checkpoint and the log are written.
        model: with fresh parameters; a checkpoint in the folder replaces them.
        task: what is asked of the model.
        train: sequences, or one long series.
        validation: the same.
    """

    def __init__(
        self,
        settings: TrainingSettings,
        folder: Path,
        *,
        model: SequenceModel,
        task: Task,
        train: Sequences,
        validation: Sequences,
    ) -> None:
        self._settings = settings
        self._folder = folder
        # Fabric announces every process; a person is told of the job alone.
        logging.getLogger("lightning_fabric").setLevel(logging.WARNING)
        self._fabric = Fabric(
            accelerator="auto", devices=on_this_machine(), num_nodes=machines(), precision=settings.precision
        )
        self._fabric.launch()
        self._model = model
        self._task = task
        optimizer = _optimizer(settings, model)
        self._parallel, self._optimizer = self._fabric.setup(model, optimizer)
        self._learn = way_to_learn(settings, model, task, processes=self._fabric.world_size)
        # After the setup, so that what the optimizer remembers is where the parameters now are.
        self._progress = load_checkpoint(folder, model, optimizer)
        self._source = self._open(train)
        self._validation = in_rows(validation, VALIDATION_ROWS)
        self._state = self._carried()

    @property
    def is_first(self) -> bool:
        """Whether this process is the one that shows and writes."""
        return self._fabric.is_global_zero

    def fit(self) -> Progress:
        """Train to the end of the budget, or until validation gains nothing for long; the model is then the best one.

        Raises:
            Interrupted: after SIGINT or SIGTERM, the checkpoint written.
            Diverged: the loss is no number any more; the checkpoint before it stays.
        """
        progress, budget = self._progress, self._settings.updates
        shown = reporter(budget, progress.update, unit=self._task.unit, shown=self.is_first)
        with _signals() as stop, shown as report, Events(self._folder, shown=self.is_first) as events:
            while progress.update < budget and progress.since_best < self._settings.patience:
                self._update(report)
                if progress.update % self._settings.validate_every == 0 or progress.update == budget:
                    self._validate(report, events)
                if self._is_to_stop(stop):
                    self._save()
                    raise Interrupted
        self._model.load_state_dict(progress.best_model)
        return progress

    def _update(self, shown: Reporter) -> None:
        """Learn from the next batch."""
        began, progress, settings = time.monotonic(), self._progress, self._settings
        for group in self._optimizer.param_groups:
            group["lr"] = learning_rate(settings, progress)
        self._model.cell.at(progress.update, stalled=progress.stalled)
        self._optimizer.zero_grad()
        loss = self._backward(self._source.batch(progress.update))
        clipped = clip(self._model.parameters(), norm=settings.clip, value=settings.clip_value)
        self._checked("the gradient's norm", clipped.norm)
        self._optimizer.step()
        progress.update += 1
        progress.losses.append(loss)
        progress.clipped += clipped.clipped
        progress.seconds += time.monotonic() - began
        shown.updated(progress.update, loss)

    def _backward(self, batch: Batch) -> float:
        """Add up the gradient of a batch, part by part; gives its mean loss, and carries the state on."""
        states, losses = [], []
        for part, share, carried in _parts(batch.on(self._fabric.device), self._state, self._settings.accumulate):
            state = self._model.begin(len(part.x), part.context) if part.begins else carried
            learned = self._learn(self._parallel, part, state, self._progress.update / self._settings.updates)
            losses.append(share * self._checked("the loss", learned.loss.item()))
            self._fabric.backward(learned.objective * share)
            states.append({name: tensor.detach() for name, tensor in learned.state.items()})
        self._state = {name: torch.cat([state[name] for state in states]) for name in states[0]}
        return sum(losses)

    def _validate(self, shown: Reporter, events: Events) -> None:
        progress = self._progress
        train, clips = sum(progress.losses) / len(progress.losses), progress.clipped / len(progress.losses)
        found = evaluate(self._model, self._task, self._validation)
        validation = self._checked("the validation loss", found.loss)
        progress.losses, progress.clipped = [], 0
        progress.history.append((progress.update, train, validation))
        progress.clips.append(clips)
        progress.figures.append(found.figure)
        progress.since_best += 1
        if validation < progress.best:
            progress.best, progress.since_best = validation, 0
            progress.best_model = {name: tensor.clone() for name, tensor in self._model.state_dict().items()}
        shown.validated(progress.update, train, validation)
        rate = learning_rate(self._settings, progress)
        events.validated(progress.update, train=train, validation=validation, clipped=clips, rate=rate)
        self._save()

    def _checked(self, what: str, value: float) -> float:
        if not math.isfinite(value):
            raise Diverged(
                f"{what} is {value} after {self._progress.update} updates; "
                "a lower `--set training.learning_rate` or `--set training.clip` may help"
            )
        return value

    def _is_to_stop(self, stop: Event) -> bool:
        """Whether any process was asked to stop: all of them must after the same update."""
        if self._fabric.world_size == 1:
            return stop.is_set()
        asked = self._fabric.all_reduce(torch.tensor(float(stop.is_set())), reduce_op="sum")
        assert isinstance(asked, Tensor)
        return bool(asked > 0)

    def _save(self) -> None:
        with warnings.catch_warnings():
            # Fabric gathers with a function whose successor torch 2.13 names, and which it still has.
            warnings.filterwarnings("ignore", message="torch.distributed.nn.functional.all_gather is deprecated")
            gathered = self._fabric.all_gather(self._state)
        assert isinstance(gathered, dict)
        self._progress.state = {
            name: tensor.reshape(-1, *self._state[name].shape[1:]) for name, tensor in gathered.items()
        }
        if self.is_first:
            save_checkpoint(self._folder, self._progress, self._model, self._optimizer)
            write_log(self._folder / LOG, self._progress)

    def _open(self, train: Sequences) -> Batches:
        settings, processes = self._settings, Processes(self._fabric.global_rank, self._fabric.world_size)
        if not settings.steps:
            _check_lengths(train)
            return Bucketed(train, batch=settings.batch, seed=settings.seed, processes=processes)
        if not self._model.cell.causal:
            raise WrongUse("training.steps cuts a series that this architecture must read whole: set training.steps=0")
        if len(train) > 1:
            raise WrongUse(
                f"training.steps cuts one long series, and this data has {len(train)} sequences: set training.steps=0"
            )
        if not train[0].is_stepwise:
            raise WrongUse("training.steps cuts a series with a target for each step: set training.steps=0")
        return Stretches(train[0], batch=settings.batch, steps=settings.steps, processes=processes)

    def _carried(self) -> State:
        """This process's share of the state in the checkpoint; the first batch begins without one."""
        if self._progress.state is None:
            return {}
        processes, rank = self._fabric.world_size, self._fabric.global_rank
        shares = {name: tensor.chunk(processes)[rank] for name, tensor in self._progress.state.items()}
        return {name: self._fabric.to_device(share) for name, share in shares.items()}


def _check_lengths(train: Sequences) -> None:
    """Raise WrongUse for a sequence that gradients cannot go back through as a whole."""
    longest = max(len(one.inputs) for one in train)
    if longest > LONGEST:
        raise WrongUse(
            f"training.steps=0 takes sequences as wholes, and one has {longest} steps; {LONGEST} are the most: "
            "cut one long series with `--set training.steps=100`, or a table's sequences with data.longest"
        )


def _optimizer(settings: TrainingSettings, model: nn.Module) -> torch.optim.Optimizer:
    if settings.optimizer == "sgd":
        return torch.optim.SGD(model.parameters(), lr=settings.learning_rate, momentum=settings.momentum)
    return torch.optim.Adam(model.parameters(), lr=settings.learning_rate)


def _parts(batch: Batch, state: State, count: int) -> Iterator[tuple[Batch, float, State]]:
    """Cut a batch into about equal parts of rows, each with its share of the batch's loss and its rows' state."""
    stepwise = is_stepwise(batch)
    of_all = batch.share[0 if stepwise else 1]
    for rows in torch.arange(len(batch.x)).chunk(count):
        context = batch.told(partial(_rows, rows))
        facts = None if batch.facts is None else batch.facts[rows]
        part = Batch(
            batch.x[rows], batch.targets[rows], batch.lengths[rows], batch.begins, context=context, facts=facts
        )
        share = (part.valid().sum() / batch.valid().sum()).item() if stepwise else len(rows) / len(batch.x)
        yield part, of_all * share, {} if batch.begins else {name: tensor[rows] for name, tensor in state.items()}


def _rows(rows: Tensor, tensor: Tensor) -> Tensor:
    return tensor[rows]


@contextmanager
def _signals() -> Iterator[Event]:
    """Let Ctrl-C and SIGTERM ask for a stop after the update that runs, never within it."""
    stop = Event()

    def ask(_: int, __: FrameType | None) -> None:
        stop.set()

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def write_log(path: Path, progress: Progress) -> None:
    """Write a JSON line a validation, whole each time, so that a resumed run leaves no line twice."""
    # A checkpoint of an older version has no figures of what it validated.
    figures = [None] * (len(progress.history) - len(progress.figures)) + progress.figures
    names = ("update", "train", "validation", "clipped", "figure")
    rows = zip(progress.history, progress.clips, figures, strict=True)
    lines = [json.dumps(dict(zip(names, (*row, clipped, figure), strict=True))) for row, clipped, figure in rows]
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
