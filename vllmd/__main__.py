"""Run the command line: ``python -m vllmd``."""

from vllmd.cli.main import main

if __name__ == "__main__":
    main()
