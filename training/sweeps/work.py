"""A training of a sweep: how it stands, and what it has said so far."""

import json
from pathlib import Path
from typing import Literal, NamedTuple, final

from training.sweeps.plan import Planned
from training.trainer import LOG

OUTPUT = "output.log"

Standing = Literal["waiting", "training", "done", "pruned", "failed"]


@final
class Work:
    """A training and how it stands.

    Attributes:
        planned: what is to be trained.
        folder: of its run.
        standing: how far it is.
        killed: how often its process was killed.
        complaint: the last line of one that failed.
        is_best: whether a search found no better one.
    """

    def __init__(self, planned: Planned, folder: Path) -> None:
        self.planned = planned
        self.folder = folder
        self.standing: Standing = "waiting"
        self.killed = 0
        self.complaint = ""
        self.is_best = False

    def last_said(self) -> str:
        """Give the last line of what its process wrote."""
        output = self.folder / OUTPUT
        text = output.read_text(encoding="utf-8", errors="replace") if output.exists() else ""
        lines = text.strip().splitlines()
        return lines[-1].removeprefix("training: ") if lines else ""


class Validation(NamedTuple):
    """A validation: the loss, and the task's figure, which an older version did not write."""

    update: int
    loss: float
    figure: float | None


def validations_of(folder: Path) -> list[Validation]:
    """Read what a run has said of its validations, up to a line that is being written."""
    found: list[Validation] = []
    try:
        for line in (folder / LOG).read_text(encoding="utf-8").splitlines():
            said = json.loads(line)
            found.append(Validation(said["update"], said["validation"], said.get("figure")))
    except (FileNotFoundError, ValueError):
        pass  # nothing is validated yet, or the line is being written
    return found
