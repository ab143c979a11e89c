"""The cause of an end that vllmd never saw, from the output of any vLLM run. Pure: no I/O."""

from collections.abc import Sequence

import attrs

from vllmd.engine import exits
from vllmd.engine.causes import diagnose
from vllmd.engine.causes.base import Diagnosis, Facts

SHELL_SIGNAL = 128
"""A shell and Docker report an end by signal n as exit code 128 + n."""


def label_of(exit_code: int | None) -> str:
    """Return an exit code as `exits.Exit.label` names it: a signal by its name."""
    if exit_code is None:
        return "unknown"
    number = -exit_code if exit_code < 0 else exit_code - SHELL_SIGNAL
    return exits.signal_name(number) if 0 < number < 65 else str(exit_code)


def diagnose_output(lines: Sequence[str], exit_code: int | None) -> Diagnosis:
    """Say why a run ended, or that its output shows no reason."""
    found = diagnose(Facts(label_of(exit_code), tuple(lines)))
    if found.cause != "unknown" or found.evidence or exit_code is not None:
        return found
    return attrs.evolve(
        found,
        advice="Give the exit code too (--exit-code N), or look at the kernel log for the OOM "
        "killer: journalctl -k -g oom.",
    )
