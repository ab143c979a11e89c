"""What each alert does through a fault, minute by minute, by promtool: `tools/timelines.py`.

A fault says which series tell of it, well and bad. From that come the scenes of `scenes.py`: the
fault itself, a short one, one with a failed scrape, a reboot, an engine that is renamed, counters
that begin anew, and what looks like the fault and is none.
"""
