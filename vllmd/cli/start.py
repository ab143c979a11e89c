"""`vllmd start`: start an engine."""

from vllmd.cli.acting import starting

command = starting(
    "start", "Start an engine that was stopped, or that waits before its next start."
)
