"""An adapter that is configured cannot be loaded, or has to wait for another."""

from collections.abc import Iterator

from vllmd.doctor.case import Case
from vllmd.doctor.finding import Finding, Severity
from vllmd.lora.adapter_files import AdapterError, is_local, read_adapter
from vllmd.lora.validation import problems

ID = "lora-adapters"


def check(case: Case) -> Iterator[Finding]:
    """Find what vLLM says 36 seconds into a start, or at the first request."""
    lora = case.engine.lora
    if lora is None:
        yield from _without_a_table(case)
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
                ID,
                Severity.ERROR,
                f"adapter {name!r} ({path}): {problem}",
                "Requests for it get a 404; the rest serves.",
                "Mend or replace its files, or take it out of lora.modules.",
            )
    if len(lora.modules) > lora.max_loras:
        yield Finding(
            ID,
            Severity.INFO,
            f"{len(lora.modules)} adapters, and max_loras = {lora.max_loras}",
            "A batch mixes no more than that: requests for others wait for it.",
            f"Set lora.max_loras = {len(lora.modules)}, if memory allows.",
        )


def _without_a_table(case: Case) -> Iterator[Finding]:
    if case.flag("lora-modules") and not case.flag("enable-lora"):
        yield Finding(
            ID,
            Severity.ERROR,
            "flags.lora-modules without enable-lora",
            "vLLM refuses adapters that are not enabled.",
            "Use the table [engines.NAME.lora]: it enables them, and keeps them loaded.",
        )
