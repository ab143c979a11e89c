"""Is vllmd there, and does each engine that is wanted serve?"""

from vllmd.monitoring.rules import ENGINE, LAST_END, Alert, AlertSeverity, RuleGroup
from vllmd.monitoring.settings import RuleSettings, quoted


def group(settings: RuleSettings) -> RuleGroup:
    """Return the alerts of engines."""
    return RuleGroup(
        "vllmd-engine",
        "Is vllmd there, and does each engine that is wanted serve?",
        [
            Alert(
                "VllmdDown",
                AlertSeverity.CRITICAL,
                f"up{{job={quoted(settings.job)}}} == 0",
                "vllmd on {{ $labels.instance }} cannot be scraped",
                "Engines serve on without it, but are not restarted, and the GPUs are not "
                "watched. On the host: systemctl status vllmd-daemon",
                wait="3m",
            ),
            Alert(
                "VllmdEngineDown",
                AlertSeverity.CRITICAL,
                # one that starts, ends, sleeps, is held, stalled or waits has its own, or none
                """
                vllmd_engine_wanted == 1
                  unless on (instance, vllmd_engine)
                    vllmd_engine_state{
                      state=~"ready|sleeping|starting|loading|draining|stopping|held|stalled"
                    } == 1
                  unless on (instance, vllmd_engine) vllmd_engine_awaited_memory_bytes > 0
                  unless on (instance, vllmd_engine) vllmd_engine_awaited_load_info == 1
                """,
                f"{ENGINE} is down",
                "It does not serve, and is not being started. 'vllmd why' names the cause.",
                wait="2m",
                why=LAST_END,
            ),
            Alert(
                "VllmdEngineHeld",
                AlertSeverity.CRITICAL,
                """
                vllmd_engine_hold_seconds >= 0
                  and on (instance, vllmd_engine) vllmd_engine_wanted == 1
                """,
                f"{ENGINE} is held: {{{{ $labels.cause }}}}",
                "Another start would meet the same wall, so vllmd waits for an operator. "
                "'vllmd why' says what to do; 'vllmd start' tries again.",
                wait="1m",
                why="cause: {{ $labels.cause }}",
            ),
            Alert(
                "VllmdEngineStalled",
                AlertSeverity.CRITICAL,
                """
                max by (instance, vllmd_engine) (vllmd_engine_state{state="stalled"}) == 1
                """,
                f"{ENGINE} has work and makes no progress",
                "Clients wait without end, and /health answers 200. vllmd is "
                "configured not to restart it (liveness.restart_stalled), or cannot: 'vllmd why', "
                "then 'vllmd restart'.",
                wait="2m",
            ),
            Alert(
                "VllmdEngineLoadStalled",
                AlertSeverity.CRITICAL,
                """
                max by (instance, vllmd_engine)
                    (vllmd_engine_failure_info{cause="load_stalled"}) == 1
                  and on (instance, vllmd_engine) vllmd_engine_up == 0
                  and on (instance, vllmd_engine) vllmd_engine_wanted == 1
                """,
                f"{ENGINE} stopped in the middle of its load, and does not serve yet",
                "Its last start made no progress and was ended. 'vllmd why' shows the phase; a "
                "download or a file server that hangs is the usual reason.",
                wait="5m",
                why="cause: load_stalled",
            ),
            Alert(
                "VllmdEngineRestartLoop",
                AlertSeverity.CRITICAL,
                f"round(increase(vllmd_engine_restarts_total[30m])) > {settings.restarts}",
                f'{ENGINE} was restarted {{{{ printf "%.0f" $value }}}} times in 30 minutes',
                "Each restart is an outage of a whole load. 'vllmd events --since 1h' shows "
                "whether all have one cause; 'vllmd stop' ends the loop.",
                keep="15m",
                why=LAST_END,
            ),
            Alert(
                "VllmdEngineNotReady",
                AlertSeverity.CRITICAL,
                """
                vllmd_engine_wanted == 1
                  and on (instance, vllmd_engine) vllmd_engine_up == 0
                  unless on (instance, vllmd_engine)
                    vllmd_engine_state{state=~"sleeping|held|stalled"} == 1
                """,
                f"{ENGINE} has not served for {settings.not_ready}",
                "It is started, but does not get there. 'vllmd status' shows the phase and how "
                "long it took before.",
                wait=settings.not_ready,
                why=LAST_END,
            ),
        ],
    )
