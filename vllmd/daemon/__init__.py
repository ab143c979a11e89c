"""The daemon's process: its start, its end, and where the parts are wired together."""
