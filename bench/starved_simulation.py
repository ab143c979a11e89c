"""Engine-hours of a starved host, simulated: is a healthy engine ever blamed, or a hang missed?

The real judges and supervisors run on a virtual clock; the event loop is late by up to two minutes,
fetches time out because of it, the time of day is set forth and back, fresh looks are late or
cannot be started; some engines really hang. Ends with 1 if an engine that was well was called
stalled or killed, or a hang was missed.

Every second host has GPUs, whose readings reach the daemon as late as its event loop is.

Usage: python bench/starved_simulation.py [engine-hours] [first seed]
"""

import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.helpers.starved_host import HOUR_S, Found, simulate

ENGINES, HOURS = 10, 5.0


def main() -> int:
    """Simulate hosts until there are enough engine-hours, and print one line of totals."""
    wanted_h = float(sys.argv[1]) if len(sys.argv) > 1 else 10_000.0
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else 0
    total, began = Found(), time.process_time()
    while total.engine_s < wanted_h * HOUR_S:
        with tempfile.TemporaryDirectory() as folder:
            found = simulate(Path(folder), seed, engines=ENGINES, hours=HOURS, gpus=seed % 2 == 1)
        total.add(found)
        seed += 1
        for what in (*found.stalled, *found.killed, *found.missed):
            print(f"seed {seed - 1}: {what}", flush=True)
        if seed % 10 == 0:
            print(f"{seed} hosts: {describe(total)}", flush=True)
    print(describe(total), f"{time.process_time() - began:.0f} CPU s")
    return 1 if total.stalled or total.killed or total.missed else 0


def describe(found: Found) -> str:
    """Say in one line what was found."""
    hangs = ", ".join(
        f"{kind} {len(seconds)} (at most {max(seconds):.0f} s)"
        for kind, seconds in sorted(found.found_s.items())
    )
    return (
        f"{found.engine_s / HOUR_S:.0f} engine-hours: {len(found.stalled)} called stalled wrongly, "
        f"{len(found.killed)} killed wrongly, {found.unreachable} called unreachable wrongly, "
        f"{found.looks} fresh looks at engines that were well; {found.hangs} hangs, "
        f"{len(found.missed)} missed, {found.by_gpus} told by a GPU; ended by kind: {hangs}"
    )


if __name__ == "__main__":
    sys.exit(main())
