"""The bAbI tasks: questions over short stories, each with the statements that answer it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from training.data.series import Parts, validate_by_seed
from training.errors import WrongUse


@dataclass(frozen=True, slots=True)
class Question:
    """A question after the statements of its story so far; `supporting` are indices of those that answer it."""

    story: tuple[str, ...]
    question: str
    answer: str
    supporting: tuple[int, ...]


def load_babi(
    folder: Path, task: int = 1, size: Literal["en", "en-10k"] = "en", seed: int = 0
) -> Parts[list[list[Question]]]:
    """Read a task from 1 to 20 (1, 2 or 6 in the larger size): the questions of each story, in order."""
    known, test = (_read(_file(folder / size, task, part)) for part in ("train", "test"))
    return validate_by_seed(known, test, seed)


def _file(folder: Path, task: int, part: str) -> Path:
    for path in folder.glob(f"qa{task}_*_{part}.txt"):
        return path
    raise WrongUse(f"bAbI has no task {task} in '{folder.name}'; en has 1 to 20, en-10k has 1, 2 and 6")


def _read(path: Path) -> list[list[Question]]:
    stories: list[list[Question]] = []
    statements: dict[int, str] = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        number, text = line.split(" ", 1)
        if number == "1":
            statements = {}
            stories.append([])
        if "\t" in text:
            stories[-1].append(_question(statements, text))
        else:
            statements[int(number)] = text
    return stories


def _question(statements: dict[int, str], text: str) -> Question:
    question, answer, supporting = text.split("\t")
    place = {number: index for index, number in enumerate(statements)}
    return Question(
        tuple(statements.values()), question.strip(), answer, tuple(place[int(number)] for number in supporting.split())
    )
