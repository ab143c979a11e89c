"""Is everything kept that is to be kept, and does vllmd itself work?"""

from vllmd.monitoring.rules import ENGINE, Alert, AlertSeverity, RuleGroup
from vllmd.monitoring.settings import RuleSettings, le, number

HOST = "{{ $labels.instance }}"


def group(settings: RuleSettings) -> RuleGroup:
    """Return the alerts of the host's disks and of vllmd itself."""
    return RuleGroup(
        "vllmd-host",
        "Is everything kept that is to be kept, and does vllmd itself work?",
        [
            Alert(
                "VllmdDiskFull",
                AlertSeverity.WARNING,
                f"""
                vllmd_filesystem_avail_bytes / (vllmd_filesystem_size_bytes > 0)
                    < {number(settings.disk_ratio)}
                  or (
                    vllmd_filesystem_avail_bytes / (vllmd_filesystem_size_bytes > 0) < 0.3
                      and predict_linear(vllmd_filesystem_avail_bytes[6h], 12 * 3600) < 0
                  )
                """,
                f"{HOST}: {{{{ $value | humanizePercentage }}}} of the disk with vllmd's "
                "{{ $labels.role }} is free",
                "It is full within half a day, or nearly so now. Then logs and the history are "
                "lost, and downloads break off.",
                wait="15m",
            ),
            Alert(
                "VllmdDiskStalled",
                AlertSeverity.WARNING,
                "vllmd_filesystem_silent_seconds > 60",
                f"{HOST}: the file system with vllmd's {{{{ $labels.role }}}} does not answer",
                "Engines serve on, but none can be started there, and what they print waits. "
                "'vllmd status' names the folder: look at its disk, or its file server.",
            ),
            Alert(
                "VllmdLogsDropped",
                AlertSeverity.WARNING,
                """
                increase(vllmd_log_dropped_lines_total[15m]) > 0 or vllmd_log_writable == 0
                """,
                f"{ENGINE}: the disk does not take its log",
                "The engine serves on; what it prints is lost and counted. 'vllmd logs' shows "
                "where lines are missing.",
            ),
            Alert(
                "VllmdHistoryDropped",
                AlertSeverity.WARNING,
                """
                increase(vllmd_history_events_dropped_total[15m]) > 0 or vllmd_history_up == 0
                """,
                f"{HOST}: events are not written down",
                "'vllmd why' and 'vllmd events' miss what happens now. Look at the disk with "
                "/var/lib/vllmd.",
            ),
            Alert(
                "VllmdOtlpDropped",
                AlertSeverity.WARNING,
                """
                increase(
                  vllmd_otlp_forward_spans_total{outcome=~"dropped|expired|refused"}[15m]
                ) > 0
                """,
                f'{HOST}: {{{{ printf "%.0f" $value }}}} spans were {{{{ $labels.outcome }}}} in '
                "15 minutes",
                "The collector of traces does not take what vllmd passes on. Metrics of spans are "
                "not touched: they are counted before.",
                wait="15m",
            ),
            Alert(
                "VllmdMetricsDrift",
                AlertSeverity.WARNING,
                f"""
                max by (instance, vllmd_engine, metric) (
                  vllmd_vllm_missing_metrics > 0
                    or label_replace(
                      vllmd_time_to_first_token_seconds_count unless on (instance, vllmd_engine)
                        vllmd_time_to_first_token_seconds_bucket{{{le(settings.ttft_s)}}},
                      "metric", "vllm:time_to_first_token_seconds le {settings.ttft_s:g}", "", ""
                    )
                    or label_replace(
                      vllmd_inter_token_latency_seconds_count unless on (instance, vllmd_engine)
                        vllmd_inter_token_latency_seconds_bucket{{{le(settings.itl_s)}}},
                      "metric", "vllm:inter_token_latency_seconds le {settings.itl_s:g}", "", ""
                    )
                )
                """,
                f"{ENGINE} does not show {{{{ $labels.metric }}}}",
                "vLLM renamed it, or its buckets were changed: alerts that need it cannot fire. "
                "Update vllmd, or export the rules with a bound that is there.",
                wait="15m",
            ),
            Alert(
                "VllmdPageUnread",
                AlertSeverity.WARNING,
                """
                vllmd_engine_page_up == 0
                  and on (instance, vllmd_engine) vllmd_engine_up == 1
                """,
                f"{ENGINE} serves, but its metrics cannot be read",
                "All alerts about its requests are blind. 'vllmd status' and the daemon's journal "
                "say why.",
                wait="10m",
            ),
            Alert(
                "VllmdConfigRefused",
                AlertSeverity.WARNING,
                """
                vllmd_config_last_reload_successful == 0
                  or vllmd_web_config_last_reload_successful == 0
                """,
                f"{HOST}: vllmd's configuration cannot be used",
                "The last valid one stays in force; nothing new starts. 'vllmd check' says "
                "what is wrong and where.",
                wait="10m",
            ),
            Alert(
                "VllmdNotificationsFailed",
                AlertSeverity.WARNING,
                """
                increase(vllmd_notifications_total{outcome=~"failed|dropped"}[1h]) > 0
                """,
                f'{HOST}: vllmd\'s webhook did not take {{{{ printf "%.0f" $value }}}} notices '
                "in an hour",
                "Look at [notify] and at the receiver; 'vllmd events' has what they were about.",
            ),
            Alert(
                "VllmdCollectorFailed",
                AlertSeverity.WARNING,
                "vllmd_collector_success == 0",
                f"{HOST}: vllmd cannot collect {{{{ $labels.collector }}}}",
                "Its metrics are missing, a mistake in vllmd. The journal has it: "
                "'vllmd bundle' packs what a report needs.",
                wait="10m",
            ),
            Alert(
                "VllmdPartFailed",
                AlertSeverity.WARNING,
                # a count that is seen for the first time is none yet: a part of an older daemon
                "increase(vllmd_part_failures_total[10m]) > 2",
                f"{HOST}: the part {{{{ $labels.part }}}} of vllmd keeps failing",
                "It is retried; the other parts work, and engines serve. What it does is not "
                "done meanwhile. 'vllmd status' has the error.",
            ),
            Alert(
                "VllmdConnectionsFull",
                AlertSeverity.WARNING,
                """
                sum by (instance, listener) (
                  increase(vllmd_connections_closed_total{reason=~"full|exhausted"}[10m])
                ) > 60
                """,
                f"{HOST}: more connect to {{{{ $labels.listener }}}} than vllmd keeps open",
                "It closes idle ones of the client that has the most, and answers the rest; "
                "engines are not affected. Find the client that connects and sends no request.",
                wait="10m",
            ),
            Alert(
                "VllmdDaemonFailed",
                AlertSeverity.WARNING,
                "increase(vllmd_daemon_unexpected_ends_total[30m]) > 0",
                f"{HOST}: vllmd's daemon ended without being asked to",
                "It runs again, and engines were not touched. 'vllmd events --name "
                "daemon.recovered' says whether it made a mistake or was killed.",
            ),
            Alert(
                "VllmdWatchdog",
                AlertSeverity.NONE,
                "vector(1)",
                "Alerts of vllmd arrive",
                "It fires always. Send it to something that calls when it stops.",
                of_a_host=False,
            ),
        ],
    )
