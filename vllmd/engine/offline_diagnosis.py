"""The cause of an end that vllmd never saw, from the output of any vLLM run. Pure: no I/O."""

from collections.abc import Sequence

import attrs

from vllmd.engine import exits
from vllmd.engine.causes import diagnose
from vllmd.engine.causes.base import Diagnosis, Facts

BEGINS = "non-default args:"
"""What a run prints near its start, a few lines below the logo. Source: logs of 0.25 and 0.32."""
LOGO = "█     █"
LOGO_LINES = 10
SHELL_SIGNAL = 128
"""A shell and Docker report an end by signal n as exit code 128 + n."""


def last_run(lines: Sequence[str]) -> Sequence[str]:
    """Return the lines of the last run in a log that several were appended to."""
    starts = [i for i, line in enumerate(lines) if BEGINS in line]
    if len(starts) < 2:
        return lines
    near = range(max(0, starts[-1] - LOGO_LINES), starts[-1])
    return lines[next((i for i in near if LOGO in lines[i]), starts[-1]) :]


def label_of(exit_code: int | None) -> str:
    """Return an exit code as `exits.Exit.label` names it: a signal by its name."""
    if exit_code is None:
        return "unknown"
    number = -exit_code if exit_code < 0 else exit_code - SHELL_SIGNAL
    return exits.signal_name(number) if 0 < number < 65 else str(exit_code)


def diagnose_output(lines: Sequence[str], exit_code: int | None) -> Diagnosis:
    """Say why a run ended, or that its output shows no reason."""
    found = diagnose(Facts(label_of(exit_code), tuple(last_run(lines))))
    if found.cause != "unknown":
        return found
    if not found.evidence:
        return attrs.evolve(
            found,
            explanation="The output shows no error.",
            advice="Give the exit code too (--exit-code N), or look at the kernel log for the OOM "
            "killer: journalctl -k -g oom.",
        )
    return attrs.evolve(found, advice="The first error is quoted; what follows it is mostly echo.")
