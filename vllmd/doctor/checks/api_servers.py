"""Adapters cannot be changed while the engine serves."""

from collections.abc import Iterator

from vllmd.config.lora import dynamic_problem
from vllmd.doctor.case import Case
from vllmd.doctor.finding import Finding, Severity

ID = "api-servers"


def check(case: Case) -> Iterator[Finding]:
    """Find what keeps vLLM from loading adapters at run time, such as several API servers.

    With lora.directory, or lora.dynamic, the configuration itself is refused.
    """
    lora = case.engine.lora
    if lora is None or lora.dynamic is False:
        return
    problem = dynamic_problem(case.engine)
    if problem is None:
        return
    yield Finding(
        ID,
        Severity.WARNING,
        problem,
        "'vllmd lora add' is refused: the adapters are those of lora.modules, loaded at the start.",
        "Set flags.api-server-count = 1, or lora.dynamic = false if that is meant.",
    )
