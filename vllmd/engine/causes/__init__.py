"""Why an engine ended: a table for each subject, and the choice among their causes.

To add a cause, add its row to the table of its subject, with the `Rank` that says how specific its
signs are, and for each sign the file that prints it. The most specific sign of what ended the run
is the cause; of those of one rank, the one nearest to the root. Then add the log that shows it to
`tests/data/causes` (recorded, or the line that the program's source prints).
"""

from collections.abc import Mapping

from vllmd.engine.causes import (
    arguments,
    by_class,
    class_of_host,
    class_of_libraries,
    files,
    gpu,
    hub,
    install,
    memory,
    model,
    network,
    object_store,
    processes,
)
from vllmd.engine.causes.base import Cause, Diagnosis, Facts
from vllmd.engine.causes.verdict import choose, unknown

SUBJECTS: Mapping[str, tuple[Cause, ...]] = {
    "memory": memory.CAUSES,
    "arguments": arguments.CAUSES,
    "hub": hub.CAUSES,
    "object_store": object_store.CAUSES,
    "model": model.CAUSES,
    "network": network.CAUSES,
    "files": files.CAUSES,
    "install": install.CAUSES,
    "gpu": gpu.CAUSES,
    "processes": processes.CAUSES,
    "class_of_host": class_of_host.CAUSES,
    "class_of_libraries": class_of_libraries.CAUSES,
    "by_class": by_class.CAUSES,
}
"""The name of each file, and its table."""

CAUSES: tuple[Cause, ...] = tuple(
    sorted((cause for table in SUBJECTS.values() for cause in table), key=lambda each: each.rank)
)
"""From the most to the least specific; a cause may have a row for each of two ranks."""

BY_NAME: Mapping[str, Cause] = {cause.name: cause for cause in reversed(CAUSES)}

LASTING: frozenset[str] = frozenset(cause.name for cause in CAUSES if cause.after_serving)
"""The causes that hold an engine though the run that they ended had served."""


def diagnose(facts: Facts) -> Diagnosis:
    """Say why a run ended that nobody asked to end.

    Returns: the cause; `unknown`, with the root of what was printed, if none fits.
    """
    return choose(CAUSES, facts) or unknown(facts)
