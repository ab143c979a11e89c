"""`vllmd restart`: stop an engine and start it again."""

from vllmd.cli.acting import starting

command = starting(
    "restart", "Stop an engine and start it again, with the configuration that the daemon has."
)
