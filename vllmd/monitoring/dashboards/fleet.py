"""Three hosts or three hundred: which serve, which do not, and are they alike?"""

from typing import Any

from vllmd.monitoring.dashboards.dashboard import dashboard
from vllmd.monitoring.dashboards.engines_table import ENGINE_LINK, HOST_LINK, alerts
from vllmd.monitoring.dashboards.looks import NO_IS_GOOD, Look, Steps
from vllmd.monitoring.dashboards.panels import ENGINES, HOSTS, Panel, PanelRow, Query, worst
from vllmd.monitoring.dashboards.states import STATES, state_expr
from vllmd.monitoring.dashboards.tables import TableColumn

MOST_HOSTS = 16
"""So many lines of a timeline have room for their names; all hosts are in the table."""
REFUSED, SILENT, NEVER = (len(STATES) + n for n in (1, 2, 3))
HOST_WORDS: dict[str, Look] = {
    "0": ("no engine", "text"),
    **{str(n): (state, colour) for n, (state, colour) in enumerate(STATES.items(), start=1)},
    str(REFUSED): ("takes none", "semi-dark-red"),
    str(SILENT): ("silent", "dark-purple"),
    str(NEVER): ("never answered", "dark-blue"),
}
"""What the worst of a host is."""
_ON = "on (instance, vllmd_engine)"
_UP = f'up{{job=~"$job",{HOSTS}}}'
_NEVER = f"({_UP} == 0 unless on (instance) max_over_time({_UP}[$__range]) == 1)"
_EACH = (
    "max by (instance, vllmd_engine, fleet, model) "
    f'(vllmd_engine_info{{fleet!="",role!="member",{ENGINES}}})'
)
_HEADS = f'max by (instance, vllmd_engine, group) (vllmd_engine_info{{role="head",{ENGINES}}})'
_YES_NO: dict[str, Look] = {"0": ("no", "red"), "1": ("yes", "green")}
_LACKS = f'vllmd_group_awaited_host_info{{role="head",{ENGINES}}}'


TAKES = f"(vllmd_engine_takes_requests{{{ENGINES}}} or {_ON} vllmd_engine_up{{{ENGINES}}})"
"""Whether requests are to come; an older vllmd says only whether it serves."""
_REFUSES = f'(vllmd_engine_state{{state="ready",{ENGINES}}} == 1 and {_ON} {TAKES} == 0)'
"""Of one that serves and is to take none: it answers wrong, or its group is not whole."""
_WANTED = (
    f"(vllmd_engine_wanted{{{ENGINES}}} "
    f'unless {_ON} vllmd_group_awaited_host_info{{state="stopped",{ENGINES}}} '
    f'unless {_ON} vllmd_engine_state{{state="sleeping",{ENGINES}}} == 1 '
    f"unless {_ON} vllmd_engine_awaited_turn_info{{{ENGINES}}} == 1)"
)
"""As `vllmd:replica_wanted` is recorded: what sleeps, waits for its turn, or was stopped with its
group, is not missed."""


def _replicas(series: str, by: str = "sum by (fleet, model)") -> str:
    return f"{by} ({_EACH} * {_ON} group_left () {series})"


READY, MEANT = _replicas(TAKES), _replicas(_WANTED)
NO_FLEET = "no engine has a name in [fleet]"


def host_state() -> str:
    """Return the query of each host's worst, as a number of `HOST_WORDS`."""
    return (
        f"max by (instance) (({_NEVER} + {NEVER}) or ({_UP} == 0) + {SILENT}) "
        f"or max by (instance) ({_REFUSES} * {REFUSED} or {state_expr()}) "
        f"or max by (instance) ({_UP}) * 0"
    )


def _number(title: str, help: str, *queries: Query, nothing: str = NO_FLEET) -> Panel:
    return Panel(title, help, "short", queries, "stat", 4, 5, nothing=nothing)


def _count(expr: str, legend: str, none: str, steps: Steps = (), **more: Any) -> Query:
    """Return a query of how many there are: 0 where there are some of `none`."""
    return Query(f"count({expr}) or count({none}) * 0", legend, steps=steps, **more)


NUMBERS = (
    _number(
        "Hosts",
        "That Prometheus reaches, and that it does not: what runs there is not known.",
        _count(f"{_UP} == 1", "answer", _UP, colour="green"),
        _count(f"{_UP} == 0", "silent", _UP, NO_IS_GOOD),
        nothing="Prometheus has no target",
    ),
    _number(
        "Never answered",
        "Silent for all of the time shown: a wrong name, a firewall, or no vllmd there.",
        _count(_NEVER, "hosts", _UP, NO_IS_GOOD),
        nothing="Prometheus has no target",
    ),
    _number(
        "Replicas",
        "Those that take requests, of those that are meant to; several hosts of one group are one "
        "replica, and one that answers wrong is not ready.",
        Query(_replicas(TAKES, "sum"), "ready", colour="green"),
        Query(_replicas(_WANTED, "sum"), "wanted", colour="blue"),
    ),
    _number(
        "Models without any",
        "No replica is ready: every request for them fails.",
        _count(f"({MEANT} > 0) unless ({READY} > 0)", "models", MEANT, NO_IS_GOOD),
    ),
    _number(
        "Groups",
        "Models over several hosts: those that serve, and those that wait for a host.",
        _count(f"{_HEADS} and {_ON} {TAKES} == 1", "serve", _HEADS),
        _count(f"{_HEADS} and {_ON} {_LACKS}", "lack a host", _HEADS, NO_IS_GOOD),
        nothing="no engine is of several hosts",
    ),
    _number(
        "Versions of vLLM",
        "Of the engines of fleets. More than one: an upgrade is under way, or broke off.",
        Query(
            f'count(count by (version) (vllmd_engine_info{{fleet!="",version!="",{ENGINES}}}))',
            "versions",
            steps=((2, "orange"),),
        ),
    ),
)

NOW = PanelRow(
    "",
    [
        *NUMBERS,
        Panel(
            "Models",
            "Replicas by fleet and model: those that are missing are first.",
            "short",
            [
                Query(f"({MEANT} - {READY}) >= 0", "missing"),
                Query(READY, "ready"),
                Query(MEANT, "wanted"),
                Query(
                    "count by (fleet, model) (count by (fleet, model, version) "
                    f'(vllmd_engine_info{{fleet!="",version!="",{ENGINES}}}))',
                    "versions",
                ),
            ],
            "table",
            12,
            9,
            minimum=None,
            nothing=NO_FLEET,
            columns=[
                TableColumn("fleet", "Fleet", width=110),
                TableColumn("model", "Model"),
                TableColumn("B", "Ready", width=70),
                TableColumn("C", "Wanted", width=75),
                TableColumn("A", "Missing", steps=NO_IS_GOOD, width=75),
                TableColumn("D", "Versions", steps=((2, "orange"),), width=80),
            ],
            first="-Missing",
        ),
        alerts(),
        Panel(
            f"The worst hosts, {MOST_HOSTS} at most",
            "Each host by the worst of its engines, the last at the end of the time shown. The "
            "table below has all hosts.",
            "short",
            [
                Query(
                    f"({host_state()}) and on (instance) "
                    f"topk({MOST_HOSTS}, last_over_time(({host_state()})[2m:1m] @ end()))",
                    "{{instance}}",
                )
            ],
            "state-timeline",
            12,
            12,
            words=HOST_WORDS,
            nothing="Prometheus has no target",
        ),
        Panel(
            "Engines that do not serve, by state",
            "Of all hosts. What runs on hosts that are silent is not known: they are counted too.",
            "short",
            [
                Query(
                    f'sum by (state) (vllmd_engine_state{{state!="ready",{ENGINES}}}) > 0',
                    "{{state}}",
                ),
                Query(f"count({_REFUSES})", "ready, takes no requests", colour="semi-dark-red"),
                Query(f"count({_UP} == 0)", "silent hosts", colour="dark-purple"),
            ],
            width=12,
            height=12,
            stacked=True,
            colours=STATES,
            nothing="all engines serve",
        ),
    ],
)

EVERY = PanelRow(
    "Every host",
    [
        Panel(
            "Hosts, the worst first",
            "One line a host, however many there are. A click leads to its own page.",
            "short",
            [
                Query(host_state(), "{{instance}}"),
                Query(f"sum by (instance) ({TAKES})", "ready"),
                Query(f"sum by (instance) (vllmd_engine_wanted{{{ENGINES}}})", "wanted"),
                Query(f"max by (instance, version) (vllmd_build_info{{{HOSTS}}})", "vllmd"),
            ],
            "table",
            24,
            16,
            minimum=None,
            nothing="Prometheus has no target",
            columns=[
                TableColumn("instance", "Host", link=HOST_LINK),
                TableColumn("A", "Worst", words=HOST_WORDS, width=150),
                TableColumn("B", "Engines ready", width=130),
                TableColumn("C", "Engines wanted", width=130),
                TableColumn("version", "vllmd", width=110),
            ],
            first="-Worst",
        )
    ],
)

ALIKE = PanelRow(
    "Groups, and what differs",
    [
        Panel(
            "Groups of hosts",
            "Each by its head. One that waits names the host that it lacks, and its state there.",
            "short",
            [
                Query(f"{_HEADS} * {_ON} group_left () {TAKES}", "serves"),
                Query(
                    f'sum by (instance, vllmd_engine) (vllmd_group_members{{state="ready",'
                    f"{ENGINES}}})",
                    "ready",
                ),
                Query(f"sum by (instance, vllmd_engine) (vllmd_group_members{{{ENGINES}}})", "of"),
                Query(f"max by (instance, vllmd_engine, host, state) ({_LACKS})", "lacks"),
            ],
            "table",
            24,
            8,
            minimum=None,
            nothing="no engine is of several hosts",
            columns=[
                TableColumn("instance", "Host", link=HOST_LINK),
                TableColumn("vllmd_engine", "Engine", link=ENGINE_LINK, width=150),
                TableColumn("A", "Serves", words=_YES_NO, width=75),
                TableColumn("B", "Ready", width=65),
                TableColumn("C", "Hosts", width=65),
                TableColumn("host", "Lacks", width=250),
                TableColumn("state", "Its part", width=120),
            ],
            first="Serves",
        ),
        Panel(
            "Versions and commands",
            "Engines that serve the same, by the version of vLLM and by their command: two lines "
            "of one model are two ways to answer.",
            "short",
            [
                Query(
                    "count by (fleet, model, version, command_hash) "
                    f'(vllmd_engine_info{{fleet!="",role!="member",{ENGINES}}})',
                    "engines",
                )
            ],
            "table",
            12,
            10,
            minimum=None,
            nothing=NO_FLEET,
            columns=[
                TableColumn("fleet", "Fleet", width=100),
                TableColumn("model", "Model"),
                TableColumn("version", "vLLM", width=90),
                TableColumn("command_hash", "Command", width=150),
                TableColumn("A", "Engines", width=80),
            ],
            first="Model",
        ),
        Panel(
            "Replicas that are missing",
            "Wanted and not ready, by fleet and model: the most are drawn.",
            "short",
            [worst(f"({MEANT} - {READY})", "{{fleet}} {{model}}")],
            height=10,
            nothing=NO_FLEET,
        ),
    ],
)


def build() -> dict[str, Any]:
    """Return the dashboard."""
    return dashboard(
        "vllmd-fleet",
        "vllmd: fleet",
        "Three hosts or three hundred: which serve, which do not, and are they alike?",
        [NOW, EVERY, ALIKE],
    )
