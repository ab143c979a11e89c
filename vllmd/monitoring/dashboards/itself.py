"""vllmd itself: does it see, does it keep, and what does it cost?"""

from typing import Any

from vllmd.monitoring.dashboards.dashboard import dashboard
from vllmd.monitoring.dashboards.looks import NO_IS_GOOD, YES_IS_GOOD
from vllmd.monitoring.dashboards.panels import (
    ENGINES,
    HOSTS,
    NAME,
    RATE,
    Panel,
    PanelRow,
    Query,
    worst,
)
from vllmd.monitoring.dashboards.tables import TableColumn

HOST = "{{instance}}"
JOBS = f'job=~"$job",{HOSTS}'

SEES = PanelRow(
    "Does it see? A number that could not be read is absent",
    [
        Panel(
            "Scraped",
            "By Prometheus. Gaps here are gaps everywhere.",
            "short",
            [Query(f"up{{{JOBS}}}", HOST)],
            "state-timeline",
            steps=YES_IS_GOOD,
            words={"0": ("silent", "red"), "1": ("scraped", "green")},
            nothing="no host is known",
            width=12,
        ),
        Panel(
            "How long a scrape takes",
            "Near Prometheus' timeout scrapes get lost.",
            "s",
            [worst(f"scrape_duration_seconds{{{JOBS}}}", HOST)],
        ),
        Panel(
            "Samples of a scrape",
            "Bounded by what is configured: it does not grow with traffic.",
            "short",
            [worst(f"scrape_samples_scraped{{{JOBS}}}", HOST)],
        ),
        Panel(
            "Collectors that failed",
            "A mistake in vllmd: its journal has it.",
            "short",
            [
                worst(
                    f"(vllmd_collector_success{{{HOSTS}}} == bool 0) > 0",
                    f"{HOST} {{{{collector}}}}",
                )
            ],
            steps=NO_IS_GOOD,
            nothing="all work",
        ),
        Panel(
            "Parts that failed",
            "Each is retried. More than one or two: vllmd status has the error.",
            "short",
            [
                worst(
                    f"round(increase(vllmd_part_failures_total{{{HOSTS}}}[10m])) > 0",
                    f"{HOST} {{{{part}}}}",
                )
            ],
            nothing="none failed",
        ),
        Panel(
            "Connections closed for others",
            "Too many were open, or no file descriptor was left. Zero is normal.",
            "short",
            [
                worst(
                    "round(sum by (instance, listener) (increase(vllmd_connections_closed_total{"
                    f'{HOSTS}, reason=~"full|exhausted"}}[10m])))',
                    f"{HOST} {{{{listener}}}}",
                )
            ],
            nothing="none was closed",
        ),
        Panel(
            "Unexpected ends of the daemon",
            "By a mistake, or killed. Zero is normal; a restart that somebody asked for is none.",
            "short",
            [
                worst(
                    f"round(increase(vllmd_daemon_unexpected_ends_total{{{HOSTS}}}[30m]))",
                    HOST,
                )
            ],
            nothing="none",
        ),
        Panel(
            "Age of vLLM's page",
            "Older than a few seconds: the engine does not answer, and its numbers are absent.",
            "s",
            [worst(f"vllmd_engine_page_age_seconds{{{ENGINES}}}", NAME)],
            nothing="no engine serves",
        ),
        Panel(
            "How long vLLM's page takes",
            "It grows with the number of series that vLLM has.",
            "s",
            [worst(f"vllmd_engine_page_read_duration_seconds{{{ENGINES}}}", NAME)],
            nothing="no engine serves",
        ),
        Panel(
            "Age of the GPUs' numbers",
            "Seconds are normal. More: the driver hangs, vllmd gpu says so.",
            "s",
            [
                worst(
                    f"time() - vllmd_nvml_last_success_timestamp_seconds{{{HOSTS}}}",
                    HOST,
                )
            ],
            nothing="no GPU",
        ),
        Panel(
            "How long the driver takes",
            "By what is asked for. It rises before a driver hangs.",
            "s",
            [worst(f"vllmd_nvml_read_duration_seconds{{{HOSTS}}}", f"{HOST} {{{{set}}}}")],
            nothing="no GPU",
        ),
        Panel(
            "Spans that arrive",
            "Of finished requests that vLLM counts. Far below 100 %: spans get lost on the way.",
            "percentunit",
            [worst(f"vllmd_span_coverage_ratio{{{ENGINES}}}", NAME)],
            maximum=1,
            nothing="no spans are received, or no traffic",
        ),
    ],
    closed=False,
)

KEEPS = PanelRow(
    "Does it keep what is to be kept?",
    [
        Panel(
            "Disk: room where vllmd writes",
            "Share that is free.",
            "percentunit",
            [
                worst(
                    f"vllmd_filesystem_avail_bytes{{{HOSTS}}} "
                    f"/ (vllmd_filesystem_size_bytes{{{HOSTS}}} > 0)",
                    f"{HOST} {{{{role}}}}",
                )
            ],
            maximum=1,
        ),
        Panel(
            "Disk: for how long it does not answer",
            "Of a file system that hangs, as one of a server that is gone. Zero is normal.",
            "s",
            [worst(f"vllmd_filesystem_silent_seconds{{{HOSTS}}}", f"{HOST} {{{{role}}}}")],
        ),
        Panel(
            "Logs: used of what they may",
            "The oldest files go when it is full.",
            "percentunit",
            [
                worst(
                    f"vllmd_log_used_bytes{{{ENGINES}}} "
                    f"/ (vllmd_log_budget_bytes{{{ENGINES}}} > 0)",
                    NAME,
                )
            ],
        ),
        Panel(
            "Lines that were lost",
            "The disk did not take them. Zero is normal.",
            "count:lines/s",
            [worst(f"rate(vllmd_log_dropped_lines_total{{{ENGINES}}}{RATE})", f"{NAME}")],
            nothing="no engine runs",
        ),
        Panel(
            "Events written, and lost",
            "Lost ones are missing in vllmd why and vllmd events.",
            "count:events/s",
            [
                worst(
                    f"rate(vllmd_history_events_written_total{{{HOSTS}}}{RATE})",
                    f"{HOST} written",
                ),
                worst(
                    f"rate(vllmd_history_events_dropped_total{{{HOSTS}}}{RATE})",
                    f"{HOST} lost",
                ),
            ],
        ),
        Panel(
            "Requests of OTLP",
            "By what they were answered. Refused ones are lost if the sender gives up.",
            "reqps",
            [
                worst(
                    "sum by (instance, protocol, outcome) "
                    f"(rate(vllmd_otlp_requests_total{{{HOSTS}}}{RATE}))",
                    f"{HOST} {{{{protocol}}}} {{{{outcome}}}}",
                )
            ],
            nothing="no spans are received",
        ),
        Panel(
            "The configuration can be used",
            "No: the last good one is, and nothing new starts. vllmd check says why.",
            "short",
            [
                Query(f"vllmd_config_last_reload_successful{{{HOSTS}}}", HOST),
                Query(f"vllmd_web_config_last_reload_successful{{{HOSTS}}}", f"{HOST} web"),
            ],
            "state-timeline",
            steps=YES_IS_GOOD,
            words={"0": ("refused", "red"), "1": ("in use", "green")},
            width=24,
        ),
    ],
)

COSTS = PanelRow(
    "What does it cost?",
    [
        Panel(
            "CPU",
            "Cores of the daemon and of the process that reads GPUs; below 0.01 is normal.",
            "suffix:cores",
            [
                worst(f"rate(process_cpu_seconds_total{{{JOBS}}}{RATE})", f"{HOST} daemon"),
                worst(
                    f"rate(vllmd_nvml_reader_cpu_seconds_total{{{HOSTS}}}{RATE})",
                    f"{HOST} reader",
                ),
            ],
            decimals=2,
        ),
        Panel(
            "Resident memory",
            "Some 60 MB, and 15 for the process that reads GPUs. They do not grow.",
            "bytes",
            [
                worst(f"process_resident_memory_bytes{{{JOBS}}}", f"{HOST} daemon"),
                worst(f"vllmd_nvml_reader_resident_bytes{{{HOSTS}}}", f"{HOST} reader"),
            ],
        ),
        Panel(
            "Collectors: time",
            "Of the last scrape.",
            "s",
            [worst(f"vllmd_collector_duration_seconds{{{HOSTS}}}", f"{HOST} {{{{collector}}}}")],
        ),
        Panel(
            "Versions",
            "Hosts with another version than the rest were forgotten.",
            "short",
            [
                Query(
                    f"count by (instance, version) (vllmd_build_info{{{HOSTS}}})",
                    "{{instance}} {{version}}",
                )
            ],
            "table",
            columns=[TableColumn("instance", "Host"), TableColumn("version", "vllmd")],
            first="Host",
            width=12,
        ),
        Panel(
            "Open files",
            "A leak would show here first.",
            "short",
            [worst(f"process_open_fds{{{JOBS}}}", HOST)],
        ),
        Panel(
            "Up since",
            "When the daemon began; engines outlive it.",
            "dateTimeAsIso",
            [Query(f"process_start_time_seconds{{{JOBS}}} * 1000", HOST)],
            "stat",
            minimum=None,
            width=12,
        ),
    ],
)


def build() -> dict[str, Any]:
    """Return the dashboard."""
    return dashboard(
        "vllmd-itself",
        "vllmd: itself",
        "Whether vllmd sees, whether it keeps what is to be kept, and what it costs.",
        [SEES, KEEPS, COSTS],
    )
