"""What an update learns from: stretches of one long series, or whole sequences of about equal length.

Which they are depends on the update and the seed alone, so that a run that was stopped goes on to the same numbers.
"""

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import NamedTuple, Protocol, final

import numpy as np
import torch
from torch import Tensor

from training.cell import Source
from training.data.series import Series
from training.errors import WrongUse

# Sequences are sorted by length within so many batches at a time, not over all, or no batch would be like another.
POOL = 20


class Batch(NamedTuple):
    """Rows, padded with zeros to the longest.

    Attributes:
        x: symbols, INT64 `[batch, time]` or `[batch, time, fields]`, or numbers, FP32 `[batch, time, features]`.
        targets: for each step `[batch, time, …]`, or for each row `[batch, …]`.
        lengths: valid steps of each row, INT64 `[batch]`.
        begins: whether the rows begin at the initial state, rather than go on with the batch before.
        share: the part of the update's batch that these rows are, by asked steps and by rows; in one process 1.
        context: what each row is about, FP32 `[batch, features]`, or is written from; None where nothing is said.
        facts: the steps that each row's answer follows from, INT64 `[batch, facts]`, -1 where there is none; None where
            nobody says.
    """

    x: Tensor
    targets: Tensor
    lengths: Tensor
    begins: bool = True
    share: tuple[float, float] = (1.0, 1.0)
    context: Tensor | Source | None = None
    facts: Tensor | None = None

    def valid(self) -> Tensor:
        """Which steps are no padding, `[batch, time]`, and have a target where each step may have one."""
        within = torch.arange(self.x.shape[1], device=self.x.device) < self.lengths[:, None]
        if self.targets.dim() == 3:
            return within & ~self.targets.isnan().any(-1)
        return within & (self.targets >= 0) if self.targets.dim() == 2 else within

    def on(self, device: torch.device) -> "Batch":
        """Give the same elsewhere."""

        def moved(tensor: Tensor) -> Tensor:
            return tensor.to(device)

        return self._replace(
            x=moved(self.x),
            targets=moved(self.targets),
            lengths=moved(self.lengths),
            context=self.told(moved),
            facts=None if self.facts is None else moved(self.facts),
        )

    def told(self, change: Callable[[Tensor], Tensor]) -> Tensor | Source | None:
        """Give what is said of the rows with each tensor changed: some of its rows, or elsewhere."""
        if isinstance(self.context, Source):
            return Source(*map(change, self.context))
        return None if self.context is None else change(self.context)


class Processes(NamedTuple):
    """Which of how many processes this is: they share each batch's rows."""

    rank: int = 0
    size: int = 1

    def check(self, batch: int) -> None:
        """Raise WrongUse where the rows cannot be shared evenly."""
        if batch % self.size:
            raise WrongUse(f"training.batch is {batch}, which {self.size} processes cannot share; choose a multiple")


class Batches(Protocol):
    """Gives the batch of every update."""

    def batch(self, update: int) -> Batch:
        """Give this process's rows of an update's batch."""
        ...


def collate(series: Sequence[Series]) -> Batch:
    """Put sequences into one batch."""
    lengths = [len(one.inputs) for one in series]
    x, first = _padded([one.inputs for one in series], max(lengths)), series[0].targets
    if series[0].is_stepwise:
        targets = _padded([one.targets for one in series], max(lengths))
    else:
        targets = np.stack([one.targets for one in series]).astype(first.dtype)
    told = _told([one.context for one in series if one.context is not None])
    return Batch(
        torch.from_numpy(x), torch.from_numpy(targets), torch.tensor(lengths), context=told, facts=_facts(series)
    )


def _told(contexts: Sequence[np.ndarray]) -> Tensor | Source | None:
    if not contexts:
        return None
    if contexts[0].dtype.kind == "f":
        return torch.from_numpy(np.stack(contexts))
    lengths = [len(one) for one in contexts]
    return Source(torch.from_numpy(_padded(contexts, max(lengths))), torch.tensor(lengths))


def _facts(series: Sequence[Series]) -> Tensor | None:
    named = [one.facts for one in series if one.facts is not None]
    if len(named) < len(series):
        return None
    return torch.from_numpy(_padded([one + 1 for one in named], max(map(len, named))) - 1)


def _padded(arrays: Sequence[np.ndarray], time: int) -> np.ndarray:
    padded = np.zeros((len(arrays), time, *arrays[0].shape[1:]), arrays[0].dtype)
    for row, array in zip(padded, arrays, strict=True):
        row[: len(array)] = array
    return padded


@final
class Stretches:
    """One long series cut into as many rows as a batch has, each read stretch by stretch with its state carried on.

    Args:
        series: with a target for each step.
        batch: rows.
        steps: of a stretch.
        processes: who has which rows.
    """

    def __init__(self, series: Series, *, batch: int, steps: int, processes: Processes) -> None:
        processes.check(batch)
        length, self._steps = len(series.inputs) // batch, steps
        self._stretches = length // steps
        if not self._stretches:
            raise WrongUse(
                f"the series has {len(series.inputs)} steps to train on, too few for {batch} rows of {steps}; "
                "give a longer one, or less of `--set training.batch=N` and `--set training.steps=N`"
            )
        self._x, self._targets = (
            torch.from_numpy(array[: batch * length].reshape(batch, length, *array.shape[1:])).chunk(processes.size)[
                processes.rank
            ]
            for array in (series.inputs, series.targets)
        )

    def batch(self, update: int) -> Batch:
        """Give the next stretch of every row; the state is reset where the series begins again."""
        stretch = update % self._stretches
        here = slice(stretch * self._steps, (stretch + 1) * self._steps)
        lengths = torch.full((len(self._x),), self._steps)
        return Batch(self._x[:, here], self._targets[:, here], lengths, stretch == 0)


@final
class Bucketed:
    """Whole sequences in a new order every time that all were read, those of about one length together.

    Args:
        series: all of them.
        batch: rows; what is left when all others were drawn waits for the next time.
        seed: of the orders.
        processes: who has which rows.
    """

    def __init__(self, series: Sequence[Series], *, batch: int, seed: int, processes: Processes) -> None:
        processes.check(batch)
        self._series, self._seed, self._processes = series, seed, processes
        self._batch = min(batch, len(series))
        if self._batch % processes.size:
            raise WrongUse(f"there are {len(series)} sequences, which {processes.size} processes cannot share")
        self._lengths = np.array([len(one.inputs) for one in series])
        # Of the last epoch that was asked for: the next update asks for the same.
        self._order = lru_cache(maxsize=1)(self._draw)

    def batch(self, update: int) -> Batch:
        """Give the update's sequences."""
        epoch, number = divmod(update, len(self._series) // self._batch)
        chosen = self._order(epoch)[number]
        own = chosen[self._processes.rank :: self._processes.size]
        batch = collate([self._series[one] for one in own])
        if self._processes.size == 1:
            return batch
        mine, all_of_it = (sum(self._series[one].asked for one in some) for some in (own, chosen))
        return batch._replace(share=(mine * self._processes.size / all_of_it, 1.0))

    def _draw(self, epoch: int) -> list[np.ndarray]:
        random = np.random.default_rng([self._seed, epoch])
        order = random.permutation(len(self._series))
        pools = [order[first : first + POOL * self._batch] for first in range(0, len(order), POOL * self._batch)]
        ordered = np.concatenate([pool[np.argsort(self._lengths[pool], kind="stable")] for pool in pools])
        count = len(ordered) // self._batch
        batches = np.split(ordered[: count * self._batch], count)
        return [batches[number] for number in random.permutation(count)]
