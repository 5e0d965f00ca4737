"""`python -m benchmarks`: speed beside references in the same run, as ratios; what `make bench` does."""

import argparse
import sys

from benchmarks import streams
from benchmarks.processes import CORES, ROOT
from benchmarks.record import HEADER, line, write

OUTPUT = ROOT / "build" / "bench.json"


def main() -> None:
    """Measure, print the table line by line, and write build/bench.json."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--work", choices=streams.WORKS, action="append", help="one work alone; may be repeated")
    works = parser.parse_args().work or list(streams.WORKS)
    sys.stdout.write(
        f"LSTM 32 -> 128 -> 32, one step a message, a stream a sequence; medians of {streams.ROUNDS} rounds; "
        f"server on core {CORES[0]}, load on core {CORES[-1]}\n{HEADER}\n"
    )
    records = []
    for record in streams.records(works):
        records.append(record)
        sys.stdout.write(f"{line(record)}\n")
        sys.stdout.flush()
    write(OUTPUT, records)


if __name__ == "__main__":
    main()
