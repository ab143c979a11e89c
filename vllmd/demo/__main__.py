"""Run the stand-in as vLLM is run: ``python -m vllmd.demo serve MODEL …``."""

import sys

from vllmd.demo.server import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
