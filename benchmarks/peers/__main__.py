"""`python -m benchmarks.peers`: calls of one step each, over both transports, and by peers with the same model."""

import sys
from contextlib import ExitStack
from functools import partial

from benchmarks.peers.servers import PEERS, peer_server
from benchmarks.processes import LOAD, MEASURED, ROOT, graph_file, lstm, measure, recur_server
from benchmarks.record import HEADER, compare, line, write
from benchmarks.rounds import ROUNDS, in_turn

OUTPUT = ROOT / "build" / "bench-peers.json"
CALLERS = "64"
BARS = {("triton", "unary"): 1.5}


def main() -> int:
    """Measure all in turn, print the table, and write build/bench-peers.json."""
    sys.stdout.write(
        f"LSTM 32 -> 128 -> 32; {CALLERS} callers, a call a step; medians of {ROUNDS} rounds; "
        f"servers on core {MEASURED}, load on core {LOAD}\n{HEADER}\n"
    )
    with ExitStack() as servers:
        graph = servers.enter_context(graph_file(lstm()))
        recur = servers.enter_context(recur_server(lstm(), "--transport", "grpcio")).listen
        native = servers.enter_context(recur_server(lstm(), "--transport", "native")).listen
        measurements = {
            "unary": partial(measure, "benchmarks.load", recur, "unary", CALLERS, "1", core=LOAD),
            "native": partial(measure, "benchmarks.frames", native, CALLERS, "1", core=LOAD),
        }
        for name, peer in PEERS.items():
            address = servers.enter_context(peer_server(name, graph))
            measurements[name] = partial(measure, peer.load, address, *peer.arguments, CALLERS, *peer.after, core=LOAD)
        values = in_turn(measurements, ROUNDS)
    records = [
        compare(
            f"peer_{name}_{ours}_{CALLERS}", values[ours], "steps/s", name, values[name], bar=BARS.get((name, ours))
        )
        for name in PEERS
        for ours in ("unary", "native")
    ]
    sys.stdout.writelines(f"{line(record)}\n" for record in records)
    write(OUTPUT, records)
    return 0


if __name__ == "__main__":
    sys.exit(main())
