"""`python -m server`: serve, or check settings and models."""

import os
import sys

# gRPC's older poller: the newer one hands every message from thread to thread, which costs a fifth of the rate at 256
# streams on one core (docs/performance.md). gRPC reads it when it is imported.
POLLER = "-event_engine_listener,-event_engine_client,-event_engine_dns,-event_engine_callback_cq"

if __name__ == "__main__":
    os.environ.setdefault("GRPC_EXPERIMENTS", POLLER)
    # NumPy's sums of products are short here: sharing them out over threads takes longer than doing them.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    from server.app import main

    sys.exit(main(sys.argv[1:], os.environ))
