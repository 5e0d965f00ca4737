"""A server that soon asks whether its clients are there: `python -m tests.faults.impatient` is `python -m server`."""

import os
import sys

from server.__main__ import POLLER

if __name__ == "__main__":
    os.environ.setdefault("GRPC_EXPERIMENTS", POLLER)
    from server.app import main
    from server.rpc import connection

    connection.SILENT_SECONDS = connection.ANSWER_SECONDS = 0.5
    connection.GREETING_SECONDS = 1.0
    sys.exit(main(sys.argv[1:], os.environ))
