"""`python -m training`: train, export, verify and publish models."""

import signal
import sys

if __name__ == "__main__":
    # Amid the imports an interrupt may be lost, which take seconds: it waits for `main`.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    from training.cli import main

    sys.exit(main())
