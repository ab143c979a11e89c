"""How many replicas of a model are ready, and how many are meant to be, by fleet."""

from vllmd.monitoring.expressions import GAP, ON_ENGINE, REPLICAS, last
from vllmd.monitoring.rules import RecordingRule, RuleGroup
from vllmd.monitoring.settings import RuleSettings, quoted

EACH = f"max by (instance, vllmd_engine, fleet, model) ({last(REPLICAS)})"
"""Every one, whatever its version is."""
TAKES = f"({last('vllmd_engine_takes_requests')} or {ON_ENGINE} {last('vllmd_engine_up')})"
"""Whether it takes requests; an older vllmd says only whether it serves."""
STOPPED = last('vllmd_group_awaited_host_info{state="stopped"}')
"""Of the head of a group that somebody stopped on a member: it is not wanted either."""
ASLEEP = last('vllmd_engine_state{state="sleeping"}') + " == 1"
TURN = last("vllmd_engine_awaited_turn_info") + " == 1"
"""One that sleeps, or waits for its turn on a GPU, is not meant to be ready."""
WANTED = (
    f"({last('vllmd_engine_wanted')} unless {ON_ENGINE} {STOPPED} "
    f"unless {ON_ENGINE} {ASLEEP} unless {ON_ENGINE} {TURN})"
)


def group(settings: RuleSettings) -> RuleGroup:
    """Return the recorded series of replicas."""
    up = f"max_over_time(up{{job={quoted(settings.job)}}}[{GAP}])"
    return RuleGroup(
        "vllmd-fleet-replicas",
        "How many replicas of a model are ready, and how many are meant to be, by fleet.",
        [
            RecordingRule("vllmd:replicas_ready", f"sum by (fleet, model) ({_joined(TAKES)})"),
            RecordingRule("vllmd:replica_wanted", _joined(WANTED)),
            RecordingRule(
                "vllmd:replicas_wanted",
                # a host that is down tells of no replica: they are missed for an hour; one that
                # was removed from a host that is up is not
                f"""
                sum by (fleet, model) (
                  vllmd:replica_wanted
                    or (last_over_time(vllmd:replica_wanted[1h]) and on (instance) {up} == 0)
                )
                """,
            ),
        ],
        interval="30s",
    )


def _joined(series: str) -> str:
    return f"""
    {EACH}
      * {ON_ENGINE} group_left () {series}
    """
