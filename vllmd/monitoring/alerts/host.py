"""Is everything kept that is to be kept, and does vllmd itself work?"""

from collections.abc import Iterator

from vllmd.monitoring.expressions import (
    comes_and_goes,
    condition_again,
    keeps_rising,
    last,
    still,
)
from vllmd.monitoring.rules import ENGINE, HOST, WHY, Alert, AlertSeverity, RuleGroup
from vllmd.monitoring.settings import RuleSettings, le, number

FREE = f"{last('vllmd_filesystem_avail_bytes')} / ({last('vllmd_filesystem_size_bytes')} > 0)"
ROOM = (
    f"{HOST}: {{{{ $value | humanizePercentage }}}} of the disk with vllmd's {{{{ $labels.role }}}}"
)


def group(settings: RuleSettings) -> RuleGroup:
    """Return the alerts of the host's disks and memory, and of vllmd itself."""
    return RuleGroup(
        "vllmd-host",
        "Is everything kept that is to be kept, and does vllmd itself work?",
        [
            *_disks(settings),
            *_memory(settings),
            *_records(),
            *_blind(settings),
            *_itself(),
            *_process(settings),
        ],
    )


def _disks(settings: RuleSettings) -> Iterator[Alert]:
    yield Alert(
        "VllmdDiskFull",
        AlertSeverity.WARNING,
        f"{FREE} < {number(settings.disk_ratio)}",
        f"{ROOM} is free",
        "When it is full, logs and the history are lost, and downloads break off.",
        "df -h",
        wait="15m",
    )
    yield Alert(
        "VllmdDiskFilling",
        AlertSeverity.WARNING,
        # as kube-prometheus does: only where little is left; and it has to go on, so that a
        # download that is over is none
        f"""
        {FREE} < {number(settings.disk_filling_ratio)}
          and predict_linear(vllmd_filesystem_avail_bytes[6h], 12 * 3600) < 0
          and predict_linear(vllmd_filesystem_avail_bytes[30m], 12 * 3600) < 0
        """,
        f"{ROOM} is free, and none is left within half a day",
        "It goes on filling up as it did for hours. Then logs and the history are lost, and "
        "downloads break off.",
        "df -h",
        wait="1h",
    )
    yield Alert(
        "VllmdDiskStalled",
        AlertSeverity.WARNING,
        f"""
        {last("vllmd_filesystem_silent_seconds")} > 60
          or {condition_again("vllmd_filesystem_silent_seconds > bool 60")}
        """,
        f"{HOST}: the file system with vllmd's {{{{ $labels.role }}}} does not answer",
        "Engines serve on, but none can be started there, and what they print waits. "
        "The status names the folder: look at its disk, or its file server.",
        "vllmd status",
    )


def _memory(settings: RuleSettings) -> Iterator[Alert]:
    resident = "vllmd_engine_memory_resident_bytes"
    yield Alert(
        "VllmdHostMemoryLeak",
        AlertSeverity.WARNING,
        keeps_rising(resident, settings.host_leak_bytes, 60, 3),
        f"{ENGINE} took {{{{ $value | humanize1024 }}}}B more of the host's memory in an hour, "
        "and did before",
        "Its processes grow, not what it has on the GPU. When none is left, the kernel kills "
        "something. In a quiet hour 'vllmd restart', which drains first.",
        WHY,
        wait="5m",
    )


def _records() -> Iterator[Alert]:
    yield Alert(
        "VllmdLogsDropped",
        AlertSeverity.WARNING,
        f"""
        (increase(vllmd_log_dropped_lines_total[15m]) > 0
            {still("vllmd_log_dropped_lines_total")})
          or {last("vllmd_log_writable")} == 0
        """,
        f"{ENGINE}: the disk does not take its log",
        "The engine serves on; what it prints is lost and counted. The log shows where "
        "lines are missing.",
        "vllmd logs {{ $labels.vllmd_engine }} -n 20",
    )
    yield Alert(
        "VllmdHistoryDropped",
        AlertSeverity.WARNING,
        f"""
        increase(vllmd_history_events_dropped_total[15m]) > 0
          or {last("vllmd_history_up")} == 0
          or {comes_and_goes("vllmd_history_up")}
        """,
        f"{HOST}: events are not written down",
        "'vllmd why' and 'vllmd events' miss what happens now. Look at the disk with "
        "/var/lib/vllmd.",
        "df -h /var/lib/vllmd",
    )
    yield Alert(
        "VllmdOtlpDropped",
        AlertSeverity.WARNING,
        """
        increase(
          vllmd_otlp_forward_spans_total{outcome=~"dropped|expired|refused"}[5m]
        ) > 0
        """,
        f'{HOST}: {{{{ printf "%.0f" $value }}}} spans were {{{{ $labels.outcome }}}} in 5 minutes',
        "The collector of traces does not take what vllmd passes on. Metrics of spans are "
        "not touched: they are counted before.",
        "journalctl -u vllmd-daemon -g otlp --since -1h",
        wait="15m",
    )
    yield Alert(
        "VllmdNotificationsFailed",
        AlertSeverity.WARNING,
        """
        increase(vllmd_notifications_total{outcome=~"failed|dropped"}[1h]) > 0
        """,
        f'{HOST}: vllmd\'s webhook did not take {{{{ printf "%.0f" $value }}}} notices in an hour',
        "Look at [notify] and at the receiver.",
        "vllmd events --name 'notification.*'",
    )


def _without_bound(histogram: str, bound_s: float) -> str:
    """Return the engines whose histogram has no bucket for what counts as slow."""
    there = last(f"vllmd_{histogram}_count")
    bucket = last(f"vllmd_{histogram}_bucket{{{le(bound_s)}}}")
    metric = f"vllm:{histogram} le {bound_s:g}"
    return (
        f"label_replace({there} unless on (instance, vllmd_engine) {bucket}, "
        f'"metric", "{metric}", "", "")'
    )


def _blind(settings: RuleSettings) -> Iterator[Alert]:
    yield Alert(
        "VllmdMetricsDrift",
        AlertSeverity.WARNING,
        f"""
        max by (instance, vllmd_engine, metric) (
          {last("vllmd_vllm_missing_metrics")} > 0
            or {_without_bound("time_to_first_token_seconds", settings.ttft_s)}
            or {_without_bound("inter_token_latency_seconds", settings.itl_s)}
        )
        """,
        f"{ENGINE} does not show {{{{ $labels.metric }}}}",
        "vLLM renamed it, or its buckets were changed: alerts that need it cannot fire. "
        "Update vllmd, or export the rules with a bound that is there.",
        WHY,
        wait="15m",
    )
    yield Alert(
        "VllmdPageUnread",
        AlertSeverity.WARNING,
        f"""
        {last("vllmd_engine_page_up")} == 0
          and on (instance, vllmd_engine) {last("vllmd_engine_up")} == 1
        """,
        f"{ENGINE} serves, but its metrics cannot be read",
        "All alerts about its requests are blind. The status and the daemon's journal say why.",
        "vllmd status",
        wait="10m",
    )
    yield Alert(
        "VllmdCollectorFailed",
        AlertSeverity.WARNING,
        f"{last('vllmd_collector_success')} == 0",
        f"{HOST}: vllmd cannot collect {{{{ $labels.collector }}}}",
        "Its metrics are missing, a mistake in vllmd. The journal has it; a bundle has what a "
        "report needs.",
        "vllmd bundle",
        wait="10m",
    )


def _itself() -> Iterator[Alert]:
    yield Alert(
        "VllmdConfigRefused",
        AlertSeverity.WARNING,
        f"""
        {last("vllmd_config_last_reload_successful")} == 0
          or {last("vllmd_web_config_last_reload_successful")} == 0
        """,
        f"{HOST}: vllmd's configuration cannot be used",
        "The last valid one stays in force. If it is vllmd.toml, nothing new starts. The check "
        "says what is wrong and where.",
        "vllmd check",
        wait="10m",
    )
    yield Alert(
        "VllmdPartFailed",
        AlertSeverity.WARNING,
        # a count that is seen for the first time is none yet: a part of an older daemon
        "increase(vllmd_part_failures_total[10m]) > 2",
        f"{HOST}: the part {{{{ $labels.part }}}} of vllmd keeps failing",
        "It is retried; the other parts work, and engines serve. What it does is not "
        "done meanwhile. The status has the error.",
        "vllmd status",
    )
    yield Alert(
        "VllmdConnectionsFull",
        AlertSeverity.WARNING,
        """
        sum by (instance, listener) (
          increase(vllmd_connections_closed_total{reason=~"full|exhausted"}[5m])
        ) > 30
        """,
        f"{HOST}: more connect to {{{{ $labels.listener }}}} than vllmd keeps open",
        "It closes idle ones of the client that has the most, and answers the rest; "
        "engines are not affected. Find the client that connects and sends no request.",
        "ss -tn state established",
        wait="10m",
    )


def _process(settings: RuleSettings) -> Iterator[Alert]:
    yield Alert(
        "VllmdLate",
        AlertSeverity.WARNING,
        f"{last('vllmd_event_loop_lag_seconds')} > {number(settings.late_s)}",
        f'{HOST}: vllmd comes {{{{ printf "%.1f" $value }}}} s late to what it has to do',
        "The host has no CPU left for it, or stops it. Meanwhile engines are not watched, and not "
        "blamed; what is restarted is restarted late.",
        "top -b -n 1",
        wait="10m",
    )
    yield Alert(
        "VllmdDaemonFailed",
        AlertSeverity.WARNING,
        "increase(vllmd_daemon_unexpected_ends_total[30m]) > 0",
        f"{HOST}: vllmd's daemon ended without being asked to",
        "It runs again. The event says whether it made a mistake, was killed, or the host went "
        "down; but for that, engines were not touched.",
        "vllmd events --name daemon.recovered",
    )
    yield Alert(
        "VllmdWatchdog",
        AlertSeverity.NONE,
        "vector(1)",
        "Alerts of vllmd arrive",
        "It fires always. Send it to something that calls when it stops.",
        "vllmd rules list",
        of_a_host=False,
    )
