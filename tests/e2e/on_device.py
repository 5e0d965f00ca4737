"""The server with its states on a device, which is the CPU: `python -m tests.e2e.on_device FLAGS`."""

import os
import sys

from models.device import CPU, CUDA
from server import app
from server.stores import device

if __name__ == "__main__":
    device.PLACES[CPU] = device.PLACES[CUDA]
    # Sequences of one batch then are in different blocks.
    device.BLOCK_BYTES = 16 * 2**10
    sys.exit(app.main(sys.argv[1:], os.environ))
