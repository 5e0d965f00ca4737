"""`python -m benchmarks`: speed and memory beside references in the same run, as ratios; what `make bench` does."""

import argparse
import sys

from benchmarks.processes import LOAD, MEASURED, ROOT, Unmeasured
from benchmarks.record import HEADER, Record, line, write
from benchmarks.rounds import ROUNDS
from benchmarks.works import WORKS

OUTPUT = ROOT / "build" / "bench.json"


def main() -> int:
    """Measure, print the table line by line, and write build/bench.json; 1 where a work could not be measured."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--work", choices=WORKS, action="append", help="one work alone; may be repeated")
    works = parser.parse_args().work or list(WORKS)
    _say(f"LSTM 32 -> 128 -> 32; medians of {ROUNDS} rounds; server on core {MEASURED}, load on core {LOAD}")
    _say(HEADER)
    records: list[Record] = []
    unmeasured = [work for work in works if not _measured(work, records)]
    write(OUTPUT, records)
    return 1 if unmeasured else 0


def _measured(work: str, records: list[Record]) -> bool:
    try:
        for record in WORKS[work].records(work):
            records.append(record)
            _say(line(record))
    except (Unmeasured, RuntimeError) as error:
        _say(f"{work:<22} not measured: {error}")
        return False
    return True


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
