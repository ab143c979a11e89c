"""How many replicas of a model are ready, and how many are meant to be, by fleet."""

from vllmd.monitoring.expressions import ON_ENGINE, REPLICAS, last
from vllmd.monitoring.rules import RecordingRule, RuleGroup
from vllmd.monitoring.settings import RuleSettings

EACH = f"max by (instance, vllmd_engine, fleet, model) ({last(REPLICAS)})"
"""Every one, whatever its version is."""
TAKES = f"({last('vllmd_engine_takes_requests')} or {ON_ENGINE} {last('vllmd_engine_up')})"
"""Whether it takes requests; an older vllmd says only whether it serves."""
STOPPED = last('vllmd_group_awaited_host_info{state="stopped"}')
"""Of the head of a group that somebody stopped on a member: it is not wanted either."""


def group(_: RuleSettings) -> RuleGroup:
    """Return the recorded series of replicas."""
    return RuleGroup(
        "vllmd-fleet-replicas",
        "How many replicas of a model are ready, and how many are meant to be, by fleet.",
        [
            RecordingRule("vllmd:replicas_ready", _count(TAKES)),
            RecordingRule(
                "vllmd:replicas_wanted",
                _count(f"({last('vllmd_engine_wanted')} unless {ON_ENGINE} {STOPPED})"),
            ),
        ],
        interval="30s",
    )


def _count(series: str) -> str:
    return f"""
    sum by (fleet, model) (
      {EACH}
        * on (instance, vllmd_engine) group_left () {series}
    )
    """
