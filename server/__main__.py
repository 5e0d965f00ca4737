"""`python -m server`: serve, or check settings and models."""

import os
import sys

from server.app import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], os.environ))
