"""The training loop: truncated back-propagation through time with the state carried from stretch to stretch."""

import json
import logging
import math
import signal
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event
from types import FrameType
from typing import final

import torch
from lightning_fabric import Fabric
from torch import Tensor
from torch.nn import functional

from training.cell import State
from training.checkpoint import Progress, load_checkpoint, save_checkpoint
from training.errors import Diverged, Interrupted, WrongUse
from training.model import SequenceModel
from training.processes import on_this_machine
from training.progress import Reporter, reporter
from training.recipe import TrainingSettings

LOG = "log.jsonl"
BITS = 1 / math.log(2)
VALIDATION_ROWS = 8

# From symbols [rows, time] and a state to logits [rows, time, symbols] and the next state.
Predictor = Callable[[Tensor, State], tuple[Tensor, State]]


@final
class Trainer:
    """Trains a model of symbols on one long text, in one process or in several (`torchrun`, `fabric run`).

    Args:
        settings: of the recipe.
        folder: where the checkpoint and the log are written.
        model: with fresh parameters; a checkpoint in the folder replaces them.
        train: symbols, INT64 `[time]`.
        validation: symbols, INT64 `[time]`.
    """

    def __init__(
        self, settings: TrainingSettings, folder: Path, *, model: SequenceModel, train: Tensor, validation: Tensor
    ) -> None:
        self._settings = settings
        self._folder = folder
        # Fabric announces every process; a person is told of the job alone.
        logging.getLogger("lightning_fabric").setLevel(logging.WARNING)
        self._fabric = Fabric(accelerator="auto", devices=on_this_machine())
        self._fabric.launch()
        self._model = model
        optimizer = torch.optim.Adam(model.parameters(), lr=settings.learning_rate)
        self._parallel, self._optimizer = self._fabric.setup(model, optimizer)
        # After the setup, so that what the optimizer remembers is where the parameters now are.
        self._progress = load_checkpoint(folder, model, optimizer)
        self._rows = self._share(train)
        self._validation = self._fabric.to_device(validation)
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
        with _signals() as stop, reporter(budget, progress.update, shown=self.is_first) as shown:
            while progress.update < budget and progress.since_best < self._settings.patience:
                self._update(shown)
                if progress.update % self._settings.validate_every == 0 or progress.update == budget:
                    self._validate(shown)
                if self._is_to_stop(stop):
                    self._save()
                    raise Interrupted
        self._model.load_state_dict(progress.best_model)
        return progress

    def _update(self, shown: Reporter) -> None:
        """Learn from the next stretch; the state is reset where the text begins again."""
        began, progress, steps = time.monotonic(), self._progress, self._settings.steps
        stretch = progress.update % self._stretches
        if stretch == 0:
            self._state = self._model.cell.init_state(len(self._rows))
        x = self._rows[:, stretch * steps : stretch * steps + steps + 1]
        for group in self._optimizer.param_groups:
            group["lr"] = self._settings.learning_rate * (1 - progress.update / self._settings.updates)
        logits, state = self._parallel(x[:, :-1], self._state)
        loss = functional.cross_entropy(logits.flatten(0, 1), x[:, 1:].flatten())
        bits = self._checked("the loss", loss.item() * BITS)
        self._optimizer.zero_grad()
        self._fabric.backward(loss)
        norm = self._fabric.clip_gradients(
            self._parallel, self._optimizer, max_norm=self._settings.clip, error_if_nonfinite=False
        )
        assert norm is not None
        self._checked("the gradient's norm", norm.item())
        self._optimizer.step()
        self._state = {name: tensor.detach() for name, tensor in state.items()}
        progress.update += 1
        progress.losses.append(bits)
        progress.seconds += time.monotonic() - began
        shown.updated(progress.update, bits)

    def _validate(self, shown: Reporter) -> None:
        progress = self._progress
        train = sum(progress.losses) / len(progress.losses)
        validation = bits_per_symbol(self._model, self._validation, rows=VALIDATION_ROWS)
        self._checked("the validation loss", validation)
        progress.losses = []
        progress.history.append((progress.update, train, validation))
        progress.since_best += 1
        if validation < progress.best:
            progress.best, progress.since_best = validation, 0
            progress.best_model = {name: tensor.clone() for name, tensor in self._model.state_dict().items()}
        shown.validated(progress.update, train, validation)
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
            _write_log(self._folder / LOG, self._progress)

    def _share(self, train: Tensor) -> Tensor:
        """This process's rows, `[rows, time]`: the text cut into as many stretches as the batch has rows."""
        batch, processes = self._settings.batch, self._fabric.world_size
        if batch % processes:
            raise WrongUse(f"training.batch is {batch}, which {processes} processes cannot share; choose a multiple")
        length = len(train) // batch
        self._stretches = (length - 1) // self._settings.steps
        rows = train[: batch * length].view(batch, length).chunk(processes)[self._fabric.global_rank]
        return self._fabric.to_device(rows)

    def _carried(self) -> State:
        """This process's share of the state in the checkpoint; the initial state without one."""
        if self._progress.state is None:
            return self._model.cell.init_state(len(self._rows))
        processes, rank = self._fabric.world_size, self._fabric.global_rank
        shares = {name: tensor.chunk(processes)[rank] for name, tensor in self._progress.state.items()}
        return {name: self._fabric.to_device(share) for name, share in shares.items()}


@torch.no_grad()
def bits_per_symbol(model: SequenceModel, symbols: Tensor, *, rows: int = 1, stretch: int = 1000) -> float:
    """Score a text: mean bits per symbol, each predicted from all before it in its row.

    Args:
        model: the model; dropout is off while it is scored.
        symbols: INT64 `[time]`.
        rows: into how many rows the text is cut, each beginning at the initial state; more is faster.
        stretch: steps at a time.
    """
    training = model.training
    model.eval()
    length = len(symbols) // rows
    text = symbols[: rows * length].view(rows, length).to(model.readout.weight.device)
    bits = score(model, model.cell.init_state(rows), text, stretch=stretch)
    model.train(training)
    return bits


def score(predict: Predictor, state: State, text: Tensor, *, stretch: int = 1000) -> float:
    """Give mean bits per symbol of rows of a text, INT64 `[rows, time]`, `stretch` steps at a time."""
    rows, length = text.shape
    total = 0.0
    for start in range(0, length - 1, stretch):
        x = text[:, start : start + stretch + 1]
        logits, state = predict(x[:, :-1], state)
        total += functional.cross_entropy(logits.flatten(0, 1), x[:, 1:].flatten(), reduction="sum").item()
    return total * BITS / (rows * (length - 1))


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


def _write_log(path: Path, progress: Progress) -> None:
    """Write a JSON line a validation, whole each time, so that a resumed run leaves no line twice."""
    names = ("update", "train", "validation")
    lines = [json.dumps(dict(zip(names, row, strict=True))) for row in progress.history]
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
