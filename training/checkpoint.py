"""Everything that a run needs to go on to the same numbers, in one file that is replaced whole."""

import os
from dataclasses import asdict, dataclass, field
from itertools import accumulate
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from training.cell import State
from training.errors import RunInvalid

FILE = "checkpoint.pt"


@dataclass(slots=True)
class Progress:
    """Where a run stands.

    Attributes:
        update: updates done.
        state: carried over the last update, all rows of the batch.
        best: the lowest validation loss.
        best_model: the parameters that reached it.
        since_best: validations since then.
        losses: of the updates since the last validation, in the task's unit.
        clipped: how many of those updates had their gradient clipped.
        history: rows of update, training and validation loss.
        clips: the share of clipped updates before each validation.
        figures: of each validation, in the task's metric.
        seconds: spent in updates.
    """

    update: int = 0
    state: State | None = None
    best: float = float("inf")
    best_model: dict[str, Tensor] = field(default_factory=dict)
    since_best: int = 0
    losses: list[float] = field(default_factory=list)
    clipped: int = 0
    history: list[tuple[int, float, float]] = field(default_factory=list)
    clips: list[float] = field(default_factory=list)
    figures: list[float] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def stalled(self) -> bool:
        """Whether a validation has gained nothing over all before it."""
        losses = [validation for _, _, validation in self.history]
        return any(later >= best for later, best in zip(losses[1:], accumulate(losses, min), strict=False))


def save_checkpoint(folder: Path, progress: Progress, model: torch.nn.Module, optimizer: torch.optim.Optimizer) -> None:
    """Replace the checkpoint: a reader, or a kill at any time, sees the old one or the new one whole."""
    content = {
        "progress": asdict(progress),
        "model": model.state_dict(),
        "optimizer": optimizer.state_dict(),
        "random": torch.get_rng_state(),
    }
    partial = folder / f"{FILE}.partial"
    with partial.open("wb") as file:
        torch.save(content, file)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(folder / FILE)


def load_checkpoint(folder: Path, model: torch.nn.Module, optimizer: torch.optim.Optimizer) -> Progress:
    """Put the checkpoint's numbers into model, optimizer and generator; a fresh Progress where there is none."""
    if not (folder / FILE).exists():
        return Progress()
    content = read_checkpoint(folder)
    model.load_state_dict(content["model"])
    optimizer.load_state_dict(content["optimizer"])
    torch.set_rng_state(content["random"])
    return Progress(**content["progress"])


def read_checkpoint(folder: Path) -> dict[str, Any]:
    """Read the checkpoint; raises RunInvalid where it is missing or damaged."""
    try:
        content: dict[str, Any] = torch.load(folder / FILE, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises many kinds for a damaged file
        raise RunInvalid(f"{folder / FILE} cannot be read; delete the run folder to begin anew") from error
    return content
