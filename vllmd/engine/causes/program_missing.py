"""The program of the engine is not there, or cannot be run."""

from vllmd.engine.causes.base import Cause, Kind

CAUSE = Cause(
    name="program_missing",
    kind=Kind.CONFIGURATION,
    explanation="The engine's program is not there, or cannot be run by the user of the service.",
    advice="Install vLLM ('vllmd engine install'), or set executable to its path; 'vllmd check' "
    "shows the whole command.",
    signatures=(
        r"^shim of engine \S+: "
        r"(No such file or directory|Permission denied|Not a directory|Exec format error): ",
    ),
)
