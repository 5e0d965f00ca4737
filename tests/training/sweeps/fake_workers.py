"""Workers that train nothing: each training says what it is told to say, a validation a look."""

import json
from collections.abc import Callable, Sequence

from training.run import RESULT
from training.sweeps.plan import Planned
from training.sweeps.work import Work
from training.sweeps.workers import Workers
from training.trainer import LOG


class FakeWorkers(Workers):
    """Does trainings without doing any.

    Args:
        course: of a training: the figure of each of its validations, whose loss is the same.
        count: at once.
        code: what each ends with.
    """

    def __init__(self, course: Callable[[Planned], Sequence[float]], *, count: int = 1, code: int = 0) -> None:
        self.course, self.count, self.code = course, count, code
        self.begun: list[Work] = []
        self.interrupted: list[Work] = []
        self.running: dict[Work, int] = {}

    @property
    def are_free(self):
        return len(self.running) < self.count

    def begin(self, work):
        assert work.folder not in [other.folder for other in self.running]
        work.folder.mkdir(parents=True, exist_ok=True)
        self.begun.append(work)
        self.running[work] = 0

    def interrupt(self, work):
        self.interrupted.append(work)

    def ended(self):
        found = []
        for work in list(self.running):
            figures = self.course(work.planned)
            if work in self.interrupted:
                found.append((work, 130))
            elif self.running[work] == len(figures):
                (work.folder / RESULT).write_text('{"held_out": 1.0, "seconds": 1.0}')
                found.append((work, self.code))
            else:
                self.running[work] += 1
                write_log(work, figures[: self.running[work]])
        for work, _ in found:
            del self.running[work]
        return found


def write_log(work: Work, figures: Sequence[float]) -> None:
    lines = [{"update": 10 * (n + 1), "validation": value, "figure": value} for n, value in enumerate(figures)]
    (work.folder / LOG).write_text("".join(f"{json.dumps(line)}\n" for line in lines))
