"""This build of vLLM has no code for this GPU."""

from vllmd.engine.causes.base import Cause, Kind

CAUSE = Cause(
    name="missing_kernels",
    kind=Kind.CONFIGURATION,
    explanation="This build of vLLM has no code for this GPU, or does not fit its libraries.",
    advice="Install a build of vLLM for this GPU's compute capability.",
    signatures=(
        r"no kernel image is available for execution",
        r"undefined symbol:",
    ),
)
