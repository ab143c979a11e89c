"""The panel of whose a GPU's memory is, that two dashboards have: each owner has one colour."""

from vllmd.monitoring.dashboards.panels import Panel, Query

OWNERS = {
    "engine": "green",
    "weights": "blue",
    "foreign": "orange",
    "orphan": "red",
    "reserved": "#6e7781",
    "unattributed": "#9ea7b1",
    "free": "#4a5058",
}
"""Every owner from the bottom of the stack up, and its colour."""


def memory_by_owner(help: str, by: str, selector: str, name: str, width: int) -> Panel:
    """Return the panel: an area for each owner, summed by labels; `name` is before the owner's."""
    return Panel(
        "VRAM, by whose it is",
        help,
        "bytes",
        [
            Query(
                f'sum by ({by}) (vllmd_gpu_memory_by_owner_bytes{{owner="{owner}",{selector}}})',
                f"{name}{owner}",
                colour=colour,
            )
            for owner, colour in OWNERS.items()
        ],
        width=width,
        stacked=True,
    )
