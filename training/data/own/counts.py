"""What is in a table, counted before anything is trained on it."""

from collections import Counter
from dataclasses import dataclass, field

from training.data.own.frames import frames, place
from training.data.own.parting import is_one, part_of
from training.data.own.runs import Bad, Runs
from training.data.own.settings import TableData
from training.data.series import PARTS
from training.errors import DataInvalid


@dataclass(slots=True)
class Counts:
    """Rows that can be used, sequences of each part, and those of one row, which has no next one to predict."""

    data: TableData
    rows: int = 0
    sequences: Counter[str] = field(default_factory=Counter)
    alone: int = 0
    bad: Bad = field(default_factory=Bad)

    @property
    def note(self) -> str:
        """What a person should know of what was left out; empty where nothing was."""
        said = []
        if self.bad.count:
            said.append(f"{self.bad.count} rows were skipped, the first is {self._first_bad}")
        if self.alone:
            said.append(f"{self.alone} sequences of '{self.data.path}' are left out: one row has no next one")
        return "; ".join(said)

    def check(self) -> None:
        """Raise DataInvalid where there are rows that must not be skipped, or nothing to train on."""
        if self.bad.count and not self.data.skip_bad_rows:
            raise DataInvalid(
                f"{self._first_bad}; {self.bad.count} of {self.rows + self.bad.count} rows cannot be used: "
                "mend them, or leave them out with `skip_bad_rows = true`"
            )
        if not self.sequences["train"]:
            raise DataInvalid(f"'{self.data.path}' has nothing to train on" + (f"; {self.note}" if self.note else ""))

    def ended(self, key: str, rows: int) -> None:
        """Count a sequence."""
        if rows == 1 and not self.data.targets:
            self.alone += 1
        elif rows:
            self.sequences.update(PARTS if is_one(self.data) else [part_of(key, self.data)])

    @property
    def _first_bad(self) -> str:
        return f"{place(self.data, self.bad.place)}: {self.bad.reason}"


def count(data: TableData) -> Counts:
    """Read a table once; raises DataInvalid where it cannot be used."""
    runs = Runs(data)
    counts, last, length = Counts(data, bad=runs.bad), "", 0
    for frame in frames(data):
        for run in runs.of(frame):
            if run.key != last:
                counts.ended(last, length)
                last, length = run.key, 0
            length += len(run)
            counts.rows += len(run)
    counts.ended(last, length)
    counts.check()
    return counts
