"""Files and disks."""

from vllmd.engine.causes.base import Cause, Kind, Rank

CAUSES = (
    Cause(
        name="disk_full",
        kind=Kind.CONFIGURATION,
        rank=Rank.STATED,
        explanation="A file system was full when the engine wanted to write.",
        advice=(
            "Make room (df -h shows where; the model cache is the usual one), then 'vllmd start'."
        ),
        signatures=(
            r"No space left on device",
            r"\[Errno 28\]",
            r"Not enough free disk space",
        ),
    ),
    Cause(
        name="compile_cache",
        kind=Kind.TRANSIENT,
        rank=Rank.WORK,
        explanation="A compiled graph that an earlier start left in vLLM's cache cannot be used.",
        advice="Move the folder torch_compile_cache in vLLM's cache aside and start again.",
        signatures=(
            r"torch_compile_cache.*(Error|corrupt|No such file)",
            r"InductorError: .*cache",
            r"Failed to load .*compiled (graph|artifact)",
        ),
    ),
)
