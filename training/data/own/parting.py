"""Which part a sequence belongs to: by a column, by the seed, or by its place where there is only one."""

import hashlib
from collections.abc import Iterable, Iterator

from training.data.own.runs import BETWEEN, Run
from training.data.own.settings import TableData
from training.data.series import PARTS

# Of ten: as many sequences, or rows of a single one, train, and as many train or validate.
TRAINS, TRAINS_OR_VALIDATES = 8, 9


def is_one(data: TableData) -> bool:
    """Tell whether the whole file is one sequence."""
    return not data.sequence and not data.split


def part_of(key: str, data: TableData) -> str:
    """Give the part of a sequence, the same wherever it stands and whatever else is in the file."""
    return key.rpartition(BETWEEN)[2] if data.split else part_by_hash(key, data.seed)


def part_by_hash(key: str, seed: int) -> str:
    """Draw a part: eight of ten train, one validates, one is for test."""
    drawn = hashlib.blake2b(f"{seed}{BETWEEN}{key}".encode(), digest_size=8).digest()
    tenth = int.from_bytes(drawn) * 10 >> 64
    return PARTS[(tenth >= TRAINS) + (tenth >= TRAINS_OR_VALIDATES)]


def in_parts(runs: Iterable[Run], data: TableData, rows: int) -> Iterator[tuple[str, Run]]:
    """Give runs with their parts; the runs of a file of `rows` that is one sequence are cut where a part ends."""
    if not is_one(data):
        yield from ((part_of(run.key, data), run) for run in runs)
        return
    places, done = [0, rows * TRAINS // 10, rows * TRAINS_OR_VALIDATES // 10, rows], 0
    for run in runs:
        for part, start, end in zip(PARTS, places, places[1:], strict=False):
            if cut := run.cut(max(start - done, 0), max(end - done, 0)):
                yield part, cut
        done += len(run)


def rule(data: TableData) -> str:
    """Say how parts are made."""
    if data.split:
        return f"as the column '{data.split}' says"
    return "in order: 8 tenths, 1 tenth, 1 tenth" if is_one(data) else f"whole sequences, drawn by seed {data.seed}"
