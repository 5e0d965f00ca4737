"""A search: of each recipe and combination of the grid a study, all of whose trials are trainings of one sweep."""

from collections.abc import Mapping
from pathlib import Path
from typing import final

from training.errors import WrongUse
from training.sweeps.plan import Base, Space, bases
from training.sweeps.ranges import Range
from training.sweeps.study import Study, open_studies
from training.sweeps.sweeping import Best
from training.sweeps.work import Work

STUDIES = "study.journal"


@final
class Searched:
    """The trials of all studies, as a sweep has them done.

    Args:
        space: has a search.
        runs: where run folders are.
        folder: the sweep's, where the studies are kept.
    """

    def __init__(self, space: Space, runs: Path, folder: Path) -> None:
        assert space.search is not None
        storage = open_studies(folder / STUDIES)
        self._studies = [Study(base, space.search, runs, storage) for base in bases(space)]
        self._study_of: dict[Work, Study] = {}
        self.works = [work for study in self._studies for work in study.found]
        self.total = len(self.works) + sum(study.left for study in self._studies)

    def next(self) -> Work | None:
        """Give a trial of the study that has the most to come."""
        study = max(self._studies, key=lambda one: one.left)
        work = study.next() if study.left else None
        if work is not None:
            self.works.append(work)
            self._study_of[work] = study
        return work

    def is_unpromising(self, work: Work) -> bool:
        """Whether its study says so."""
        return self._study_of[work].is_unpromising(work)

    def ended(self, work: Work) -> None:
        """Tell its study."""
        self._study_of[work].ended(work)

    def best(self) -> list[Best]:
        """Give the best trial of each study that has one."""
        return [best for study in self._studies if (best := study.best()) is not None]


def check_search(space: Space) -> None:
    """Raise WrongUse for a search of no setting, of one that is said elsewhere, or of values that it cannot have."""
    assert space.search is not None
    settings = space.search.settings
    if not settings:
        raise WrongUse("search.settings is empty; give what is to be searched for: a setting, and its range")
    if space.seeds > 1:
        raise WrongUse(f"seeds = {space.seeds} beside [search], whose trials are one training each: leave seeds out")
    for name, table in (("set", space.set), ("grid", space.grid)):
        for key in table.keys() & settings.keys():
            raise WrongUse(f"{key} is in [{name}] and in [search.settings]: take it out of one of them")
    for base in bases(space):
        _check_values(base, settings)


def _check_values(base: Base, settings: Mapping[str, Range]) -> None:
    """Raise WrongUse for a key that the recipe does not have, or a value that it cannot have."""
    first = {key: one.ends[0] for key, one in settings.items()}
    for key, one in settings.items():
        for value in one.ends:
            base.tried(0, first | {key: value})
