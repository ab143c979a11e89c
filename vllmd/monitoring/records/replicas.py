"""How many replicas of a model are ready, and how many are meant to be, by fleet."""

from vllmd.monitoring.expressions import last, without_members
from vllmd.monitoring.rules import RecordingRule, RuleGroup
from vllmd.monitoring.settings import RuleSettings

_OF_A_FLEET = 'vllmd_engine_info{fleet!=""}'
REPLICAS = f"max by (instance, vllmd_engine, fleet, model) {without_members(last(_OF_A_FLEET))}"
"""Every engine of a host that belongs to a fleet, whatever its version is; of a group the head."""


def group(_: RuleSettings) -> RuleGroup:
    """Return the recorded series of replicas."""
    return RuleGroup(
        "vllmd-fleet-replicas",
        "How many replicas of a model are ready, and how many are meant to be, by fleet.",
        [
            RecordingRule(f"vllmd:replicas_{name}", _count(series))
            for name, series in (("ready", "vllmd_engine_up"), ("wanted", "vllmd_engine_wanted"))
        ],
        interval="30s",
    )


def _count(series: str) -> str:
    return f"""
    sum by (fleet, model) (
      {REPLICAS}
        * on (instance, vllmd_engine) group_left () {last(series)}
    )
    """
