"""Faults of the host, and of vllmd itself."""

from tests.timelines.signals import Alike, Fault, brief, bursts, counter, gauge, rising, shaped

CHAT = {"vllmd_engine": "chat"}
LOGS = {"role": "logs"}
AVAIL = "vllmd_filesystem_avail_bytes"
SIZE = gauge("vllmd_filesystem_size_bytes", 1e12, 1e12, **LOGS)
RESIDENT = "vllmd_engine_memory_resident_bytes"
UP = gauge("vllmd_engine_up", 1, 1, **CHAT)
TTFT = "vllmd_time_to_first_token_seconds"
FIRST = counter(f"{TTFT}_count", 60, 60, **CHAT)
GIB = 2.0**30

FAULTS = (
    Fault(
        "VllmdDiskFull",
        "4 % are free",
        [gauge(AVAIL, 500e9, 40e9, **LOGS), SIZE],
        Alike(
            "for ten minutes, until logs are rotated", [brief(AVAIL, 500e9, 40e9, 10, **LOGS), SIZE]
        ),
    ),
    Fault(
        "VllmdDiskFilling",
        "10 % are free, and 0.3 GB go each minute",
        [shaped(AVAIL, lambda m: 100e9 - 300e6 * m if m else 100e9, **LOGS), SIZE],
        Alike(
            "a model of 60 GB is downloaded in 20 minutes",
            [shaped(AVAIL, lambda m: 140e9 - 3e9 * min(m, 20), **LOGS), SIZE],
        ),
        before=60,
        lasts=240,
        after=420,
    ),
    Fault(
        "VllmdDiskStalled",
        "a file server does not answer",
        [rising("vllmd_filesystem_silent_seconds", 0, 60, **LOGS)],
        Alike(
            "a disk that is busy for a minute",
            [brief("vllmd_filesystem_silent_seconds", 0, 55, 1, **LOGS)],
        ),
    ),
    Fault(
        "VllmdHostMemoryLeak",
        "an engine takes 20 MiB more of the host's memory each minute",
        [rising(RESIDENT, 20 * GIB, 20 * 2**20, **CHAT)],
        Alike("it took 30 GiB at once, for a cache", [gauge(RESIDENT, 20 * GIB, 50 * GIB, **CHAT)]),
        before=300,
        lasts=480,
        after=300,
        step=2,
    ),
    Fault(
        "VllmdLogsDropped",
        "lines are dropped",
        [counter("vllmd_log_dropped_lines_total", 0, 100, **CHAT)],
        Alike("lines are cut", [counter("vllmd_log_cut_lines_total", 0, 100, **CHAT)]),
    ),
    Fault(
        "VllmdHistoryDropped",
        "the history cannot be written",
        [gauge("vllmd_history_up", 1, 0)],
        Alike("many events", [counter("vllmd_history_events_written_total", 1, 500)]),
    ),
    Fault(
        "VllmdOtlpDropped",
        "the collector of traces takes nothing",
        [counter("vllmd_otlp_forward_spans_total", 0, 50, outcome="dropped")],
        Alike(
            "it takes all",
            [counter("vllmd_otlp_forward_spans_total", 0, 50, outcome="sent")],
        ),
    ),
    Fault(
        "VllmdNotificationsFailed",
        "the webhook takes nothing",
        [bursts("vllmd_notifications_total", 2, outcome="failed")],
        Alike("it takes them", [bursts("vllmd_notifications_total", 2, outcome="sent")]),
        lasts=120,
        once=True,
    ),
    Fault(
        "VllmdMetricsDrift",
        "vLLM renamed a metric",
        [gauge("vllmd_vllm_missing_metrics", None, 1, **CHAT, metric="vllm:x"), UP],
        Alike(
            "a new bound beside the old one",
            [
                FIRST,
                counter(f"{TTFT}_bucket", 60, 60, **CHAT, le="2.5"),
                counter(f"{TTFT}_bucket", 0, 60, **CHAT, le="3.0"),
            ],
        ),
    ),
    Fault(
        "VllmdPageUnread",
        "an engine's page cannot be read",
        [gauge("vllmd_engine_page_up", 1, 0, **CHAT), UP],
        Alike(
            "it loads, and has none yet",
            [
                gauge("vllmd_engine_page_up", 1, 0, **CHAT),
                gauge("vllmd_engine_up", 1, 0, **CHAT),
            ],
        ),
    ),
    Fault(
        "VllmdCollectorFailed",
        "a collector fails",
        [gauge("vllmd_collector_success", 1, 0, collector="gpus")],
        Alike("for five minutes", [brief("vllmd_collector_success", 1, 0, 5, collector="gpus")]),
    ),
    Fault(
        "VllmdConfigRefused",
        "a configuration is refused",
        [gauge("vllmd_config_last_reload_successful", 1, 0)],
        Alike(
            "and put right within five minutes",
            [brief("vllmd_config_last_reload_successful", 1, 0, 5)],
        ),
    ),
    Fault(
        "VllmdPartFailed",
        "a part fails each minute",
        [counter("vllmd_part_failures_total", 0, 1, part="webhook")],
        Alike("once", [bursts("vllmd_part_failures_total", 1, part="webhook")]),
    ),
    Fault(
        "VllmdConnectionsFull",
        "a client opens connections without end",
        [counter("vllmd_connections_closed_total", 0, 60, listener="exporter", reason="full")],
        Alike(
            "many come and go",
            [counter("vllmd_connections_closed_total", 0, 600, listener="exporter", reason="done")],
        ),
    ),
    Fault(
        "VllmdLate",
        "the host has no CPU left",
        [gauge("vllmd_event_loop_lag_seconds", 0.01, 3)],
        Alike(
            "for five minutes, while an engine compiles",
            [brief("vllmd_event_loop_lag_seconds", 0.01, 3, 5)],
        ),
    ),
    Fault(
        "VllmdDaemonFailed",
        "the daemon was killed",
        [bursts("vllmd_daemon_unexpected_ends_total", 1)],
        Alike(
            "a person restarted it",
            [gauge("vllmd_daemon_unexpected_ends_total", 3, 3)],
        ),
        lasts=90,
        once=True,
    ),
)
