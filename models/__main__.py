"""`python -m models`: list, show and check the built models."""

import sys

from models.cli import main

if __name__ == "__main__":
    sys.exit(main())
