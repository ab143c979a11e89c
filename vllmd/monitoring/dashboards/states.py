"""The panel of what each engine did, that two dashboards have."""

from vllmd.monitoring.dashboards.panels import ENGINES, NAME, Panel, Query

STATES = {
    "ready": "green",
    "sleeping": "blue",
    "starting": "super-light-blue",
    "loading": "light-blue",
    "draining": "yellow",
    "stopping": "yellow",
    "stopped": "text",
    "backoff": "orange",
    "unreachable": "orange",
    "stalled": "red",
    "held": "dark-red",
}
"""Every state of an engine, and its colour; a test compares them with those of the daemon."""


def states(width: int) -> Panel:
    """Return the panel: one line an engine, one colour a state."""
    each = " or ".join(
        f'(vllmd_engine_state{{state="{state}",{ENGINES}}} == 1) * {i}'
        for i, state in enumerate(STATES, start=1)
    )
    words = {str(i): (state, STATES[state]) for i, state in enumerate(STATES, start=1)}
    return Panel(
        "What each engine did",
        "Green serves. Red and orange: vllmd why names the cause and the next command.",
        "short",
        [Query(f"max by (instance, vllmd_engine) ({each})", NAME)],
        "state-timeline",
        width,
        words=words,
    )
