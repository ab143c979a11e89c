"""A compiled graph in the cache cannot be used."""

from vllmd.engine.causes.base import Cause, Kind

CAUSE = Cause(
    name="compile_cache",
    kind=Kind.TRANSIENT,
    explanation="A compiled graph that an earlier start left in vLLM's cache cannot be used.",
    advice="Move the folder torch_compile_cache in vLLM's cache aside and start again.",
    signatures=(
        r"torch_compile_cache.*(Error|corrupt|No such file)",
        r"InductorError: .*cache",
        r"Failed to load .*compiled (graph|artifact)",
    ),
)
