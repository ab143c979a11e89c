"""Run a scenario and let the system go down, with a request in flight."""

import os
import subprocess
import sys

from . import arm64, drain, lifecycle, machine, real

SCENARIOS = {
    "arm64": (arm64.main, 120),
    "lifecycle": (lifecycle.main, 120),
    "machine": (machine.main, 120),
    "real": (real.main, 400),
}
"""What is run, and how many tokens the request in flight asks for."""


def main(scenario: str) -> None:
    """Do it; the machine that is emulated boots twice."""
    verb = "poweroff"
    try:
        if drain.went_down():
            machine.after_reboot()
        else:
            run, tokens = SCENARIOS[scenario]
            run()
            drain.begin(tokens)
            verb = "reboot" if scenario == "machine" else verb
    finally:
        os.sync()
        subprocess.run(["systemctl", verb], check=False)


if __name__ == "__main__":
    if sys.argv[1] == "client":
        drain.client(int(sys.argv[2]))
    else:
        main(sys.argv[1])
