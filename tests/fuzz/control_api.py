"""`make fuzz`: schemathesis against a daemon's control socket, for so many seconds."""

import argparse
import random
import sys
import tempfile
from pathlib import Path

from tests.helpers.described import described_daemon, try_all

PHASES = ("--phases", "examples,coverage,fuzzing", "--continue-on-failure")


def main() -> int:
    ask = argparse.ArgumentParser(prog="python -m tests.fuzz.control_api", description=__doc__)
    ask.add_argument("--seconds", type=int, default=120)
    ask.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1, 10**6))
    given = ask.parse_args()
    with tempfile.TemporaryDirectory(prefix="f-", dir="/tmp") as name:
        folder = Path(name)
        folder.chmod(0o755)
        with described_daemon(folder) as made:
            said = try_all(made, folder, given.seed, *PHASES, "--max-time", str(given.seconds))
            failures = {k: n for k, n in made.samples("vllmd_part_failures_total").items() if n}
    print(said.stdout[said.stdout.find("== FAILURES") :] if said.returncode else "", end="")
    print(said.stderr, end="")
    cases = said.stdout.partition("Test cases:\n")[2].strip().partition("\n")[0]
    print(f"control socket: seed {given.seed}, {cases or said.stdout}")
    print(f"parts of the daemon that failed: {failures or 'none'}")
    return int(said.returncode != 0 or bool(failures))


if __name__ == "__main__":
    sys.exit(main())
