"""Adapters: whether they can be loaded, at the start and while the engine serves."""

from collections.abc import Iterator

from vllmd.config.lora import dynamic_problem
from vllmd.doctor.case import Case
from vllmd.doctor.finding import Finding, FindingSeverity
from vllmd.lora.adapter_files import AdapterError, is_local, read_adapter
from vllmd.lora.validation import problems


def lora_adapters(case: Case) -> Iterator[Finding]:
    """Find what vLLM says 36 seconds into a start, or at the first request."""
    lora = case.engine.lora
    if lora is None:
        return
    sizes = {
        name.removesuffix(".weight"): tensor.shape
        for name, tensor in case.model.tensors.items()
        if len(tensor.shape) == 2
    }
    for name, path in lora.modules.items():
        if not is_local(path):
            continue  # a name on the hub
        try:
            found = problems(read_adapter(path), lora.max_lora_rank, case.engine.model, sizes)
        except AdapterError as error:
            found = [str(error)]
        for problem in found:
            yield Finding(
                "lora-adapters",
                FindingSeverity.ERROR,
                f"adapter {name!r} ({path}): {problem}",
                "Requests for it get a 404; the rest serves.",
                "Fix or replace its files, or take it out of lora.modules.",
            )
    if len(lora.modules) > lora.max_loras:
        yield Finding(
            "lora-adapters",
            FindingSeverity.INFO,
            f"{len(lora.modules)} adapters, and max_loras = {lora.max_loras}",
            "A batch mixes no more than that: requests for others wait for it.",
            f"Set lora.max_loras = {len(lora.modules)}, if memory allows.",
        )


def api_servers(case: Case) -> Iterator[Finding]:
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
        "api-servers",
        FindingSeverity.WARNING,
        problem,
        "'vllmd lora add' is refused: the adapters are those of lora.modules, loaded at the start.",
        "Set flags.api-server-count = 1, or lora.dynamic = false if that is meant.",
    )
