"""64 sequences in one request: `python -m examples.many ADDRESS MODEL`."""

import sys

import numpy as np

from client.blocking import Client


def main(address: str, model: str) -> None:
    """Send ten readings of 64 sensors, `[64, 1, 1]` at a time, and print the mean of what the model says."""
    readings = np.random.default_rng(0).normal(size=(10, 64, 1, 1)).astype(np.float32)
    with Client(address) as client, client.sequences(model, [f"sensor-{n}" for n in range(64)]) as sensors:
        for batch in readings:
            answer = sensors.step(x=batch)
            print(answer["y"].mean(), [error for error in answer.errors if error] or "all answered")


if __name__ == "__main__":
    main(*sys.argv[1:]) if len(sys.argv) == 3 else sys.exit(__doc__)
