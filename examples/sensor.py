"""A sensor's readings, one step at a time: `python -m examples.sensor ADDRESS MODEL`."""

import sys

import numpy as np

from client.blocking import Client


def main(address: str, model: str) -> None:
    """Send ten readings `[1, 1, 1]` of one sensor, and print what the model says to each."""
    readings = np.sin(np.arange(10, dtype=np.float32))
    with Client(address, streamed=True) as client, client.sequence(model) as sensor:
        for reading in readings:
            answer = sensor.step(x=reading.reshape(1, 1, 1))
            print(answer.position, answer["y"].ravel())


if __name__ == "__main__":
    main(*sys.argv[1:]) if len(sys.argv) == 3 else sys.exit(__doc__)
