"""The panel of what each engine did, that two dashboards have."""

from vllmd.monitoring.dashboards.looks import Look
from vllmd.monitoring.dashboards.panels import ENGINES, NAME, Panel, Query

STATES = {
    "ready": "green",
    "sleeping": "blue",
    "starting": "super-light-blue",
    "loading": "light-blue",
    "waiting": "purple",
    "draining": "yellow",
    "stopping": "light-yellow",
    "stopped": "text",
    "backoff": "orange",
    "unreachable": "dark-orange",
    "stalled": "red",
    "held": "dark-red",
}
"""Every state of an engine, and its colour, the worst last; a test compares them with those of the
daemon."""
STATE_WORDS: dict[str, Look] = {
    str(number): (state, colour) for number, (state, colour) in enumerate(STATES.items(), start=1)
}


WEIGHTS = {
    "ready": ("kept", "green"),
    "loading": ("loading", "light-blue"),
    "ending": ("given up", "light-yellow"),
    "absent": ("not kept", "orange"),
    "incomplete": ("in part", "orange"),
    "unresponsive": ("unresponsive", "red"),
}
"""Every state of weights that preload keeps: a word, and its colour."""


def weights_expr() -> str:
    """Return the query of the state of each engine's weights, as a number."""
    each = " or ".join(
        f'(vllmd_engine_weights_state{{state="{state}",{ENGINES}}} == 1) * {number}'
        for number, state in enumerate(WEIGHTS, start=1)
    )
    return f"max by (instance, vllmd_engine) ({each})"


def weights() -> Panel:
    """Return the panel of an engine's weights that preload keeps."""
    words: dict[str, Look] = {str(n): look for n, look in enumerate(WEIGHTS.values(), start=1)}
    return Panel(
        "Weights that are kept in GPU memory (preload)",
        "Kept: a start maps them, which takes seconds. Else it loads them from the disk.",
        "short",
        [Query(weights_expr(), "{{vllmd_engine}}")],
        "state-timeline",
        24,
        4,
        words=words,
        nothing="the engine has no preload",
    )


def state_expr() -> str:
    """Return the query of each engine's state, as a number."""
    each = " or ".join(
        f'(vllmd_engine_state{{state="{state}",{ENGINES}}} == 1) * {number}'
        for number, state in enumerate(STATES, start=1)
    )
    return f"max by (instance, vllmd_engine) ({each})"


def states(width: int, height: int = 8, name: str = NAME) -> Panel:
    """Return the panel: one line an engine, one colour a state; a host that is silent has one."""
    silent = 'max by (instance) (up{job=~"$job",instance=~"$instance"} == 0) * 0'
    return Panel(
        "What each engine did",
        "Green serves. Red and orange: vllmd why names the cause and the next command. A host "
        "that Prometheus cannot reach has a line of its own.",
        "short",
        [Query(f"{state_expr()} or {silent}", name)],
        "state-timeline",
        width,
        height,
        words={"0": ("host is silent", "purple"), **STATE_WORDS},
        nothing="no engine is known on these hosts",
    )
