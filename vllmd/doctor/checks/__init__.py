"""All checks, one file each, the gravest questions first."""

from collections.abc import Iterator, Mapping

from vllmd.doctor.case import Case, Check
from vllmd.doctor.checks import (
    api_exposed,
    api_servers,
    chat_template,
    clock,
    concurrency,
    context_length,
    devices,
    disk_space,
    driver,
    engine_missing,
    flags,
    gpu_count,
    gpu_share,
    host_memory,
    hub,
    leftovers,
    locked_memory,
    log_stats,
    lora_adapters,
    model_files,
    model_missing,
    model_readable,
    open_files,
    persistence_mode,
    port_taken,
    prefix_caching,
    proxies,
    quantization,
    right_tool,
    secrets,
    shared_memory,
    stop_timeout,
    will_it_fit,
)
from vllmd.doctor.finding import Finding

CHECKS: Mapping[str, Check] = {
    module.ID: module.check
    for module in (
        engine_missing,
        flags,
        model_missing,
        hub,
        model_readable,
        model_files,
        driver,
        devices,
        gpu_count,
        will_it_fit,
        gpu_share,
        host_memory,
        context_length,
        concurrency,
        lora_adapters,
        api_servers,
        quantization,
        prefix_caching,
        chat_template,
        log_stats,
        api_exposed,
        secrets,
        port_taken,
        stop_timeout,
        shared_memory,
        open_files,
        locked_memory,
        disk_space,
        proxies,
        clock,
        persistence_mode,
        leftovers,
        right_tool,
    )
}
"""By identifier."""


def examine(case: Case) -> Iterator[Finding]:
    """Yield what all checks find in one engine, with its name."""
    for check in CHECKS.values():
        for finding in check(case):
            yield finding.of(case.engine.name)
