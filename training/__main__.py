"""`python -m training`: train, export, verify and publish models."""

import sys

from training.cli import main

if __name__ == "__main__":
    sys.exit(main())
