"""`python -m pgiam.sandbox`: the same as `pgiam sandbox`."""

import sys

from .command import main

if __name__ == "__main__":
    sys.exit(main())
