"""A study of Optuna's over a recipe's settings: which trial is next, which is pruned, and which was best."""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, NamedTuple, final

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.storages import BaseStorage, JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, Trial, TrialState

from training.errors import RunInvalid
from training.recipe import Recipe
from training.run import Run
from training.sweeps.plan import Base
from training.sweeps.ranges import Range, Search
from training.sweeps.sweeping import Best
from training.sweeps.work import Validation, Work, validations_of
from training.tasks import TASKS

# Of a trial that takes the place of an earlier one, which did not come to its end: the earlier one's number.
REPLACES = "replaces"


class Objective(NamedTuple):
    """What a search makes better: a figure of the validation part.

    Where the metric is of what a model puts out by itself it is the loss: validations do not let it.
    """

    name: str
    better: Literal["lower", "higher"]
    is_loss: bool

    @classmethod
    def of(cls, recipe: Recipe) -> "Objective":
        """Give a recipe's."""
        kind = TASKS[recipe.task]
        return cls("loss", "lower", True) if kind.writes_freely else cls(kind.metric, kind.better, False)

    def value(self, said: Validation, folder: Path) -> float:
        """Give it of a validation; raises RunInvalid where an older version did not write it."""
        value = said.loss if self.is_loss else said.figure
        if value is None:
            raise RunInvalid(f"'{folder}' was begun by an older version; delete that folder to train it again")
        return value


def open_studies(file: Path) -> BaseStorage:
    """Open the file that keeps studies, which is only ever added to."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    file.parent.mkdir(parents=True, exist_ok=True)
    return JournalStorage(JournalFileBackend(str(file)))


@final
class Study:
    """The trials of a recipe with a combination of the grid: those that an earlier sweep came to, and new ones.

    Settings are chosen by the tree-structured Parzen estimator of Bergstra et al., "Algorithms for Hyper-Parameter
    Optimization", 2011; a trial is pruned where its best validation is worse than the median of the others' after as
    many updates, once five are done.

    Attributes:
        found: what an earlier sweep did.
        left: trials that are not begun.
    """

    def __init__(self, base: Base, search: Search, runs: Path, storage: BaseStorage) -> None:
        recipe = base.planned().recipe
        self._base, self._seed, self._runs = base, search.seed, runs
        self._objective = Objective.of(recipe)
        self._study = optuna.create_study(
            storage=storage,
            study_name=f"{recipe.name}-{recipe.digest}",
            direction="minimize" if self._objective.better == "lower" else "maximize",
            pruner=optuna.pruners.MedianPruner(),
            load_if_exists=True,
        )
        self._distributions = {key: distribution_of(one) for key, one in search.settings.items()}
        self._running: dict[Work, Trial] = {}
        self._reported: dict[Work, int] = {}
        self._held: tuple[Work, Trial] | None = None
        self.found = list(self._go_on())
        self._works = list(self.found)
        self.left = max(0, search.trials - len(self.found))

    def _go_on(self) -> Iterator[Work]:
        """Give the trials that came to their end; the others are to be begun again, with their settings."""
        trials = self._study.get_trials()
        replaced = {trial.user_attrs.get(REPLACES) for trial in trials}
        for trial in trials:
            if trial.number in replaced or trial.state == TrialState.WAITING:
                continue
            work = self._work(trial)
            if trial.state == TrialState.PRUNED:
                work.standing = "pruned"
                yield work
            elif trial.state == TrialState.COMPLETE and Run(work.folder).done("train"):
                work.standing = "done"
                yield work
            else:
                if trial.state == TrialState.RUNNING:
                    self._study.tell(trial.number, state=TrialState.FAIL)
                self._study.enqueue_trial(trial.params, user_attrs={REPLACES: trial.number})

    def _work(self, trial: Trial | FrozenTrial) -> Work:
        planned = self._base.tried(trial.number, trial.params)
        return Work(planned, planned.folder(self._runs))

    def next(self) -> Work | None:
        """Give the next trial; None as long as another one trains with the same settings."""
        work, trial = self._held or self._ask()
        if any(work.folder == other.folder for other in self._running):
            self._held = work, trial
            return None
        self._held = None
        self.left -= 1
        self._running[work] = trial
        self._works.append(work)
        return work

    def _ask(self) -> tuple[Work, Trial]:
        # Each choice has a seed of its own: a search that goes on does not begin with the same choices again.
        number = len(self._study.get_trials(deepcopy=False))
        self._study.sampler = optuna.samplers.TPESampler(seed=(self._seed + number) % 2**32)
        trial = self._study.ask(self._distributions)
        return self._work(trial), trial

    def is_unpromising(self, work: Work) -> bool:
        """Report what a training has said since; whether it has got worse than the others were."""
        trial, reported = self._running[work], self._reported.get(work, 0)
        new = [said for said in validations_of(work.folder) if said.update > reported]
        for said in new:
            trial.report(self._objective.value(said, work.folder), said.update)
            self._reported[work] = said.update
        return bool(new) and trial.should_prune()

    def ended(self, work: Work) -> None:
        """Report the rest, and tell the study what came of it."""
        self.is_unpromising(work)
        trial = self._running.pop(work)
        if work.standing == "pruned":
            self._study.tell(trial, state=TrialState.PRUNED)
        elif work.standing == "done" and math.isfinite(value := self._value(work)):
            self._study.tell(trial, value)
        else:
            self._study.tell(trial, state=TrialState.FAIL)

    def _value(self, work: Work) -> float:
        """Give what the model has that is kept: the one of the lowest loss."""
        kept = min(validations_of(work.folder), key=lambda said: said.loss)
        return self._objective.value(kept, work.folder)

    def best(self) -> Best | None:
        """Give the best of the trials that are done, the first of equals."""
        values = {
            work: value for work in self._works if work.standing == "done" and math.isfinite(value := self._value(work))
        }
        if not values:
            return None
        choose = min if self._objective.better == "lower" else max
        work = choose(values, key=values.__getitem__)
        return Best(work, f"{self._objective.name.replace('_', ' ')} {values[work]:.4g} on the validation part")


def distribution_of(one: Range) -> BaseDistribution:
    """Say in Optuna's words what a setting is chosen from."""
    if one.choices is not None:
        return CategoricalDistribution(one.choices)
    assert one.low is not None
    assert one.high is not None
    if one.is_whole:
        return IntDistribution(int(one.low), int(one.high), log=one.log, step=int(one.step or 1))
    return FloatDistribution(one.low, one.high, log=one.log, step=one.step)
