"""TensorBoard's events of a run, in its folder: `tensorboard --logdir runs`."""

from pathlib import Path
from types import TracebackType
from typing import Self, final

from tensorboardX import SummaryWriter

FOLDER = "events"


@final
class Events:
    """Writes a value of each kind at each validation, from the first process alone."""

    def __init__(self, folder: Path, *, shown: bool) -> None:
        self._writer = SummaryWriter(str(folder / FOLDER), write_to_disk=shown)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._writer.close()

    def validated(self, update: int, *, train: float, validation: float, clipped: float, rate: float) -> None:
        """Write the losses, the share of clipped updates since the last validation, and the learning rate."""
        values = {"loss/train": train, "loss/validation": validation, "clipped": clipped, "learning_rate": rate}
        for name, value in values.items():
            self._writer.add_scalar(name, value, update)
