"""The host's memory: every event, in one SQLite file that survives crashes and is bounded."""
