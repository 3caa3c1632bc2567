"""``python -m keyferry`` is the same as ``keyferry``."""

import sys

from keyferry.app.cli import main

if __name__ == "__main__":
    sys.exit(main())
