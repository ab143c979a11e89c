"""A file system is full."""

from vllmd.engine.causes.base import Cause, Kind

CAUSE = Cause(
    name="disk_full",
    kind=Kind.CONFIGURATION,
    explanation="A file system was full when the engine wanted to write.",
    advice="Make room (df -h shows where; the model cache is the usual one), then 'vllmd start'.",
    signatures=(
        r"No space left on device",
        r"\[Errno 28\]",
        r"Not enough free disk space",
    ),
)
