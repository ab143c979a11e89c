"""Why an engine ended: a table for each subject, and the order in which they are looked for.

To add a cause, add its row to the table of its subject, with the `Rank` that says how specific its
signs are. Within one rank, causes are looked for in the order of `SUBJECTS`, and those of a table
from top to bottom: a row goes above those whose signs its log has too. Then add the log that shows
it to `tests/data/causes` (recorded, or the line that the program's source prints: that is where its
signatures come from) and its name to the order in `tests/unit/engine/causes/test_causes.py`.
"""

from collections.abc import Mapping

from vllmd.engine.causes import arguments, files, gpu, memory, network, processes
from vllmd.engine.causes.base import Cause, Diagnosis, Facts, Kind
from vllmd.engine.causes.first_error import first_error

SUBJECTS: Mapping[str, tuple[Cause, ...]] = {
    "memory": memory.CAUSES,
    "arguments": arguments.CAUSES,
    "network": network.CAUSES,
    "files": files.CAUSES,
    "gpu": gpu.CAUSES,
    "processes": processes.CAUSES,
}
"""The name of each file, and its table."""

CAUSES: tuple[Cause, ...] = tuple(
    sorted((cause for table in SUBJECTS.values() for cause in table), key=lambda each: each.rank)
)
"""From the most to the least specific: the first that fits is the cause."""

BY_NAME: Mapping[str, Cause] = {cause.name: cause for cause in CAUSES}


def diagnose(facts: Facts) -> Diagnosis:
    """Say why a run ended that nobody asked to end.

    Returns: the cause; `unknown`, with the first error that was printed, if none fits.
    """
    for cause in CAUSES:
        if found := cause.find(facts):
            return found
    error = first_error(facts.lines)
    return Diagnosis(
        cause="unknown",
        kind=Kind.UNKNOWN,
        explanation="The cause is not one that vllmd knows.",
        advice="Read the engine's log: 'vllmd logs' shows its end.",
        evidence=(error,) if error else (),
    )
