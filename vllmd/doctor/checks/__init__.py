"""All checks, in a file for each subject, the gravest questions first.

To add a check, add its function to the file of its subject and its row to `CHECKS`, where its place
is that of its findings in what is printed. Tests name what is missing: a section in docs/doctor.md,
a bad and a good case.
"""

from collections.abc import Iterator, Mapping

from vllmd.doctor.case import Case, Check
from vllmd.doctor.checks import (
    access,
    adapters,
    compute,
    gpu,
    group,
    host,
    model,
    preload,
    settings,
    sleep,
    visible,
)
from vllmd.doctor.finding import Finding

CHECKS: Mapping[str, Check] = {
    "engine-missing": settings.engine_missing,
    "flags": settings.flags,
    "flag-files": settings.flag_files,
    "model-missing": model.model_missing,
    "hub": model.hub,
    "model-readable": model.model_readable,
    "model-files": model.model_files,
    "driver": gpu.driver,
    "devices": visible.devices,
    "visible-devices": visible.visible_devices,
    "gpu-count": visible.gpu_count,
    "parallel-heads": gpu.parallel_heads,
    "compute-capability": compute.compute_capability,
    "preload": preload.preload,
    "sleep": sleep.sleep,
    "will-it-fit": gpu.will_it_fit,
    "gpu-share": gpu.gpu_share,
    "unified-memory": gpu.unified_memory,
    "host-memory": host.host_memory,
    "host-cpus": host.host_cpus,
    "context-length": settings.context_length,
    "concurrency": settings.concurrency,
    "lora-adapters": adapters.lora_adapters,
    "api-servers": adapters.api_servers,
    "quantization": model.quantization,
    "prefix-caching": settings.prefix_caching,
    "chat-template": model.chat_template,
    "log-stats": settings.log_stats,
    "api-exposed": access.api_exposed,
    "secrets": access.secrets,
    "port-taken": access.port_taken,
    "stop-timeout": settings.stop_timeout,
    "group-names": group.group_names,
    "group-port": group.group_port,
    "group-reach": group.group_reach,
    "group-alike": group.group_alike,
    "shared-memory": host.shared_memory,
    "open-files": host.open_files,
    "locked-memory": host.locked_memory,
    "disk-space": host.disk_space,
    "proxies": access.proxies,
    "clock": host.clock,
    "persistence-mode": gpu.persistence_mode,
    "gpu-rows": gpu.gpu_rows,
    "leftovers": host.leftovers,
    "right-tool": settings.right_tool,
}
"""By identifier."""


def examine(case: Case) -> Iterator[Finding]:
    """Yield what all checks find in one engine, with its name."""
    for check in CHECKS.values():
        for finding in check(case):
            yield finding.of(case.engine.name)
