"""All checks, one file each, the gravest questions first."""

from collections.abc import Iterator, Mapping

from vllmd.doctor.case import Case, Check
from vllmd.doctor.checks import (
    api_exposed,
    chat_template,
    concurrency,
    context_length,
    gpu_count,
    gpu_share,
    log_stats,
    lora_adapters,
    model_files,
    model_missing,
    open_files,
    port_taken,
    prefix_caching,
    quantization,
    right_tool,
    shared_memory,
    will_it_fit,
)
from vllmd.doctor.finding import Finding

CHECKS: Mapping[str, Check] = {
    module.ID: module.check
    for module in (
        model_missing,
        model_files,
        gpu_count,
        will_it_fit,
        gpu_share,
        context_length,
        concurrency,
        lora_adapters,
        quantization,
        prefix_caching,
        chat_template,
        log_stats,
        api_exposed,
        port_taken,
        shared_memory,
        open_files,
        right_tool,
    )
}
"""By identifier."""


def examine(case: Case) -> Iterator[Finding]:
    """Yield what all checks find in one engine, with its name."""
    for check in CHECKS.values():
        for finding in check(case):
            yield finding.of(case.engine.name)
