"""`python -m necto_verify`."""

import sys

from necto_verify.cli import main

if __name__ == "__main__":
    sys.exit(main())
