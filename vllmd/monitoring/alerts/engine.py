"""Is vllmd there, and does each engine that is wanted serve?"""

from collections.abc import Iterator

from vllmd.monitoring.expressions import (
    AGAIN,
    AWAITS_HOST,
    ON_ENGINE,
    WANTED,
    comes_and_goes,
    last,
    still,
)
from vllmd.monitoring.rules import ENGINE, HOST, LAST_END, WHY, Alert, AlertSeverity, RuleGroup
from vllmd.monitoring.settings import RuleSettings, quoted

IS_WANTED = f"{last('vllmd_engine_wanted')} == 1"
STALLED = 'vllmd_engine_state{state="stalled"}'
HELD = 'vllmd_engine_state{state="held"}'
WEIGHTS_GONE = 'vllmd_engine_weights_state{state=~"absent|incomplete"}'
WEIGHTS_SILENT = 'vllmd_engine_weights_state{state="unresponsive"}'
WRONG = 'vllmd_probe_verdict{verdict="wrong"}'
MOST_OF_THE_TIME = 0.7
"""A host of which more scrapes succeed is there: some get lost."""
UNCHECKED = 'vllmd_probe_verdict{verdict=~"unknown|not_applicable"}'
LOAD_STALLED = 'vllmd_engine_failure_info{cause="load_stalled"}'


def _in_state(states: str) -> str:
    return f"{last(f'vllmd_engine_state{{state=~{quoted(states)}}}')} == 1"


def group(settings: RuleSettings) -> RuleGroup:
    """Return the alerts of engines."""
    return RuleGroup(
        "vllmd-engine",
        "Is vllmd there, and does each engine that is wanted serve?",
        [*_daemon(settings), *_not_serving(), *_answers(), *_starting(settings), *_weights()],
    )


def _daemon(settings: RuleSettings) -> Iterator[Alert]:
    job = quoted(settings.job)
    yield Alert(
        "VllmdDown",
        AlertSeverity.CRITICAL,
        f"""
        up{{job={job}}} == 0
          or label_replace({comes_and_goes(f"up{{job={job}}}", times=3)}
            and avg_over_time(up{{job={job}}}[{AGAIN}]) < {MOST_OF_THE_TIME},
            "scraped", "at times", "", "")
        """,
        f"vllmd on {HOST} cannot be scraped, or only at times",
        "It, its host or the way there is down. If it is vllmd alone, engines serve on, but are "
        "not restarted, and nobody watches them or the GPUs.",
        "systemctl status vllmd-daemon",
        wait="3m",
    )
    yield Alert(
        "VllmdAbsent",
        AlertSeverity.CRITICAL,
        f"absent({last(f'up{{job={job}}}')})",
        "Prometheus scrapes no vllmd at all",
        "Its configuration has no target of this job, or discovery finds none: no other alert of "
        "vllmd can fire.",
        "promtool check config /etc/prometheus/prometheus.yml",
        wait="10m",
        of_a_host=False,
    )


def _not_serving() -> Iterator[Alert]:
    started = "ready|sleeping|starting|loading|draining|stopping|held|stalled"
    yield Alert(
        "VllmdEngineDown",
        AlertSeverity.CRITICAL,
        # one that starts, ends, sleeps, is held, stalled or waits has its own, or none
        f"""
        {IS_WANTED}
          unless {ON_ENGINE} {_in_state(started)}
          unless {ON_ENGINE} {last("vllmd_engine_awaited_memory_bytes")} > 0
          unless {ON_ENGINE} {last("vllmd_engine_awaited_load_info")} == 1
          unless {ON_ENGINE} {last("vllmd_engine_awaited_turn_info")} == 1
          unless {ON_ENGINE} {AWAITS_HOST}
        """,
        f"{ENGINE} is down",
        "It does not answer, or has ended and waits for its next start.",
        WHY,
        wait="2m",
        why=LAST_END,
    )
    yield Alert(
        "VllmdEngineHeld",
        AlertSeverity.CRITICAL,
        # the state ends with a hold; the series of its cause is seen for some minutes more
        f"""
        {last("vllmd_engine_hold_seconds")} >= 0
          and {WANTED}
          and {ON_ENGINE} ({_in_state("held")} or {comes_and_goes(HELD)})
        """,
        f"{ENGINE} is held: {{{{ $labels.cause }}}}",
        "Another start would meet the same wall, so vllmd makes none until what is wrong is "
        "mended. 'vllmd start' tries again.",
        WHY,
        wait="1m",
        why="cause: {{ $labels.cause }}",
    )
    yield Alert(
        "VllmdEngineStalled",
        AlertSeverity.CRITICAL,
        f"""
        max by (instance, vllmd_engine) ({last(STALLED)} == 1 or {comes_and_goes(STALLED, 3)})
        """,
        f"{ENGINE} has work and makes no progress",
        "Clients wait without end, and /health answers 200. vllmd is configured not to restart it "
        "(liveness.restart_stalled), or cannot: see why, then 'vllmd restart'.",
        WHY,
        wait="2m",
    )


def _answers() -> Iterator[Alert]:
    yield Alert(
        "VllmdWrongAnswers",
        AlertSeverity.CRITICAL,
        f"""
        max by (instance, vllmd_engine) ({last(WRONG)} == 1 or {comes_and_goes(WRONG)})
          and {ON_ENGINE} {last("vllmd_engine_up")} == 1
        """,
        f"{ENGINE} gives wrong answers",
        "Its answers to fixed prompts are not those that were recorded, asked three times: a GPU, "
        "its weights, or another version of vLLM. To everybody else it is healthy. It is in use "
        "unless probe.on_mismatch keeps requests away.",
        "vllmd probe {{ $labels.vllmd_engine }}",
        why="cause: wrong_answers",
    )
    yield Alert(
        "VllmdAnswersUnchecked",
        AlertSeverity.WARNING,
        f"""
        max by (instance, vllmd_engine) ({last(UNCHECKED)} == 1)
          and {ON_ENGINE} {last("vllmd_engine_up")} == 1
        """,
        f"{ENGINE} serves, and its answers are not looked at",
        "It has a table probe, and for an hour nobody could tell whether its answers are right: it "
        "refuses the prompts, is not reached, or nothing is recorded. Asking it says why.",
        "vllmd probe {{ $labels.vllmd_engine }}",
        wait="1h",
    )


def _starting(settings: RuleSettings) -> Iterator[Alert]:
    yield Alert(
        "VllmdEngineLoadStalled",
        AlertSeverity.CRITICAL,
        f"""
        max by (instance, vllmd_engine)
            ({last(LOAD_STALLED)}) == 1
          and {ON_ENGINE} {last("vllmd_engine_up")} == 0
          and {WANTED}
        """,
        f"{ENGINE} stopped in the middle of its load, and does not serve yet",
        "Its last start made no progress and was ended; a download or a file server that hangs is "
        "the usual reason.",
        WHY,
        wait="5m",
        why="cause: load_stalled",
    )
    yield Alert(
        "VllmdEngineRestartLoop",
        AlertSeverity.CRITICAL,
        # of one that was renamed or stopped the count goes on for half an hour
        f"""
        round(increase(vllmd_engine_restarts_total[30m])) > {settings.restarts}
          {still("vllmd_engine_restarts_total")}
          unless {ON_ENGINE} {last("vllmd_engine_wanted")} == 0
        """,
        f'{ENGINE} was restarted {{{{ printf "%.0f" $value }}}} times in 30 minutes',
        "Each restart is an outage of a whole load. 'vllmd stop' ends the loop.",
        WHY,
        why=LAST_END,
    )
    yield Alert(
        "VllmdEngineNotReady",
        AlertSeverity.CRITICAL,
        f"""
        {IS_WANTED}
          and {ON_ENGINE} {last("vllmd_engine_up")} == 0
          unless {ON_ENGINE} {_in_state("sleeping|held|stalled")}
          unless {ON_ENGINE} {last("vllmd_engine_awaited_turn_info")} == 1
          unless {ON_ENGINE} {AWAITS_HOST}
        """,
        f"{ENGINE} has not served for {settings.not_ready}",
        "It is meant to, and does not get there. 'vllmd status' shows its phase and how long that "
        "took before, or what it waits for.",
        WHY,
        wait=settings.not_ready,
        why=LAST_END,
    )


def _weights() -> Iterator[Alert]:
    yield Alert(
        "VllmdWeightsLost",
        AlertSeverity.WARNING,
        # one that is to be restarted anyway has another command than it runs with
        f"""
        max by (instance, vllmd_engine) ({last(WEIGHTS_GONE)}) == 1
          and {ON_ENGINE} {last("vllmd_engine_up")} == 1
          unless {ON_ENGINE} {last("vllmd_engine_command_changed")} == 1
        """,
        f"{ENGINE} serves, and its weights are kept no more",
        "What kept them in GPU memory (preload) ended, or could not load them. It serves on; its "
        "next start takes as long as without preload. 'vllmd restart' loads them anew.",
        "vllmd status {{ $labels.vllmd_engine }}",
        wait="5m",
    )
    yield Alert(
        "VllmdWeightsUnresponsive",
        AlertSeverity.WARNING,
        f"max by (instance, vllmd_engine) ({last(WEIGHTS_SILENT)}) == 1",
        f"what keeps the weights of {ENGINE} does not answer",
        "It may hold GPU memory that no engine uses. Before the engine's next start, and by 'vllmd "
        "stop', it is ended.",
        "vllmd status {{ $labels.vllmd_engine }}",
        wait="5m",
    )
