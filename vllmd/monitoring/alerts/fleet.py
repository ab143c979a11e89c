"""Do replicas of a model serve, are there enough, and are they alike?"""

from vllmd.monitoring.expressions import REPLICAS, last
from vllmd.monitoring.rules import Alert, AlertSeverity, RuleGroup
from vllmd.monitoring.settings import RuleSettings

OF = "{{ $labels.model }} in the fleet {{ $labels.fleet }}"
STATUS = "vllmd fleet status"
_READY = "max_over_time(vllmd:replicas_ready[2m])"
_NONE = f"""(
    vllmd:replicas_wanted > 0 and vllmd:replicas_wanted offset 2m > 0
      unless on (fleet, model) {_READY} > 0
  )"""
_OTHERS = f"on (fleet) max by (fleet) ({_READY}) > 0"
_LEAST = f"max by (fleet) ({last('vllmd_fleet_min_ready')})"


def group(_: RuleSettings) -> RuleGroup:
    """Return the alerts above one host; only hosts with a name in `[fleet]` have them."""
    return RuleGroup(
        "vllmd-fleet",
        "Do replicas of a model and hosts of a group serve, are there enough, and are they alike?",
        [
            _incomplete(),
            Alert(
                "VllmdReplicasNone",
                AlertSeverity.CRITICAL,
                # where another model serves, what hosts tell is told all the same; as that may come
                # and go, two minutes are waited for here, and not by `for`
                f"""
                label_replace({_NONE} unless {_OTHERS}, "models", "all", "", "")
                  or ({_NONE} and {_OTHERS})
                """,
                f"{OF}: no replica is ready",
                "Every request fails. What the hosts tell is the cause; it is not sent as well "
                "where no other model of the fleet serves.",
                STATUS,
                of_a_host=False,
            ),
            Alert(
                "VllmdReplicasLow",
                AlertSeverity.WARNING,
                f"""
                vllmd:replicas_ready
                  < on (fleet) group_left () {_LEAST}
                  and on (fleet, model) vllmd:replicas_wanted > 0
                """,
                f"{OF}: {{{{ $value }}}} replicas are ready, fewer than fleet.min_ready",
                "The others have their load as well, and 'vllmd fleet restart' stops.",
                STATUS,
                wait="5m",
                of_a_host=False,
            ),
            Alert(
                "VllmdVersionsDiffer",
                AlertSeverity.WARNING,
                f"{_versions()}\n  or {_commands()}",
                f"{OF}: replicas run different versions of vLLM, or different commands",
                "The same request is answered differently, by chance. An upgrade that broke off, "
                "or a configuration that one host does not have.",
                STATUS,
                wait="1h",
                of_a_host=False,
            ),
        ],
    )


def _incomplete() -> Alert:
    return Alert(
        "VllmdGroupIncomplete",
        AlertSeverity.CRITICAL,
        # the label is the host that is missing: what is known of it is told with it
        f"""
        label_replace(
          max by (fleet, group, vllmd_engine, host) (
            {_awaited("head")}
            or
            ({_awaited("member")} unless on (group) {last(_HEADS)})
          ), "instance", "$1", "host", "(.+)"
        )
        """,
        "{{ $labels.vllmd_engine }} does not serve: its group "
        "{{ $labels.group }} lacks {{ $labels.host }}",
        "All hosts of the group wait for the part of this one, and start by themselves "
        "when it is back.",
        "vllmd status {{ $labels.vllmd_engine }}",
        wait="5m",
        of_a_host=False,
    )


_HEADS = 'vllmd_engine_info{role="head"}'


def _awaited(role: str) -> str:
    """Return the hosts that parts of a role wait for; what somebody stopped there is no fault."""
    return last(f'vllmd_group_awaited_host_info{{role="{role}",state!="stopped"}}')


def _versions() -> str:
    known = last('vllmd_engine_info{fleet!="",version!=""}')
    return f"count by (fleet, model) (count by (fleet, model, version) ({known})) > 1"


def _commands() -> str:
    """Return what has more commands than engines: those of one host differ on purpose."""
    known = last(REPLICAS)  # the command of a member is never the head's
    engines = f"count by (fleet, model, vllmd_engine) ({known})"
    commands = f"count by (fleet, model, vllmd_engine, command_hash) ({known})"
    return (
        f"count by (fleet, model) ({commands})\n"
        f"    > on (fleet, model) count by (fleet, model) ({engines})"
    )
