"""Engine-hours on GPUs, simulated: is a healthy engine ever called stalled, or a hang missed?

The real judge looks every five seconds at engines whose pages, GPUs and processes are drawn at
random: decoding, long prefills, compilations, adapters on slow disks, throttled and shared GPUs,
pipeline stages, readings with gaps; some really hang. Ends with 1 if an engine that was well was
called stalled, or a hang was missed.

Usage: python bench/hang_simulation.py [engine-hours] [first seed]
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.helpers.simulated_gpus import HOUR_S, simulate

ENGINES, HOURS = 40, 1.0


def main() -> int:
    """Simulate until there are enough engine-hours, and print one line of totals."""
    wanted_h = float(sys.argv[1]) if len(sys.argv) > 1 else 2000.0
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else 0
    hours, wrong, missed = 0.0, 0, 0
    found_s: list[float] = []
    while hours < wanted_h:
        found = simulate(seed, engines=ENGINES, hours=HOURS)
        hours += found.engine_s / HOUR_S
        wrong, missed = wrong + len(found.stalled), missed + len(found.missed)
        found_s += found.found_s
        for what in (*found.stalled, *found.missed):
            print(f"seed {seed}: {what}", flush=True)
        seed += 1
    print(
        f"{hours:.0f} engine-hours: {wrong} called stalled wrongly, {missed} hangs missed; "
        f"{len(found_s)} that the readings show found after {max(found_s, default=0):.0f} s at most"
    )
    return 1 if wrong or missed else 0


if __name__ == "__main__":
    sys.exit(main())
