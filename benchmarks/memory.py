"""What a sequence costs in the server's resident memory: while it is live and idle, and after it has ended."""

import re
import sys
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from typing import final

from benchmarks.flow import ROWS
from benchmarks.processes import LOAD, Unmeasured, measure, recur_server, resident_bytes
from benchmarks.record import Record, compare
from demo.serving import Serving
from tests import zoo

UNIT = "B/seq"
PORTIONS = 10
# Of the model, a running sum of one feature: state, stored answer and id.
STATE_BYTES, ANSWER_BYTES, ID_BYTES = 4, 4, 8
SCRAPE_SECONDS = 10
LIVE = re.compile(r"^recur_sequences\{.*\} (\S+)$", re.MULTILINE)


@final
@dataclass(frozen=True, slots=True)
class IdleBytes:
    """Resident memory for each of many live sequences, beside what it holds and an allowance for its record."""

    sequences: int
    allowance: int

    def records(self, work: str) -> Iterator[Record]:
        """Open the sequences and read what the server has grown by; the first portion warms it and is not counted."""
        portion = self.sequences // PORTIONS
        flags = ("--max-sequences", str(self.sequences + portion), "--idle-seconds", "86400")
        with recur_server(zoo.running_sum(), *flags) as server:
            sizes = _sizes(work, server, "idle", portion, PORTIONS + 1)
            found = live(server)
        if found != self.sequences + portion:
            raise Unmeasured(f"{self.sequences + portion} sequences were begun and {found} are live")
        grown = (sizes[-1] - sizes[0]) / self.sequences
        allowed = STATE_BYTES + ANSWER_BYTES + ID_BYTES + self.allowance
        yield compare(work, [grown], UNIT, "allowed", [allowed], better="lower", bar=1.0)


@final
@dataclass(frozen=True, slots=True)
class Churn:
    """Growth of resident memory for each sequence that has begun and ended, over the last half of them."""

    sequences: int
    allowed: float

    def records(self, work: str) -> Iterator[Record]:
        """Let the sequences come and go, and compare the middle with the end."""
        with recur_server(zoo.running_sum()) as server:
            sizes = _sizes(work, server, "churn", self.sequences // PORTIONS, PORTIONS)
        half = PORTIONS // 2
        grown = (sizes[-1] - sizes[half - 1]) / (self.sequences / 2)
        yield compare(work, [grown], UNIT, "allowed", [self.allowed], better="lower", bar=1.0)


def _sizes(work: str, server: Serving, kind: str, portion: int, portions: int) -> list[int]:
    """Send portions of a flow; gives the server's resident bytes after each."""
    sizes: list[int] = []
    requests = portion // ROWS
    for number in range(portions):
        rate = measure("benchmarks.flow", server.listen, kind, str(number * requests), str(requests), core=LOAD)
        sizes.append(resident_bytes(server.process.pid))
        sys.stderr.write(
            f"  {work}: {(number + 1) * portion:,} sequences, {rate:,.0f} a second, {sizes[-1] / 2**20:,.0f} MiB\n"
        )
    return sizes


def live(server: Serving) -> int:
    """Ask the server how many sequences are live."""
    with urllib.request.urlopen(f"http://{server.metrics}/metrics", timeout=SCRAPE_SECONDS) as page:
        return read_live(page.read().decode())


def read_live(page: str) -> int:
    """Read the number of live sequences from a page of metrics."""
    found = LIVE.search(page)
    if not found:
        raise Unmeasured("the server's metrics have no recur_sequences")
    return int(float(found[1]))
