"""Runs inside the booted system, with Debian's own Python: `python3 -m inside SCENARIO`.

Prints nothing that matters; each case is a row in /opt/t/rows.json.
"""
