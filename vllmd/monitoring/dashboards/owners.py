"""Whose a GPU's memory is, in one picture with what bounds it; each owner has one colour. Pure."""

from vllmd.monitoring.dashboards.panels import GPUS, Panel, Query

OWNERS = {
    "engine": "green",
    "weights": "blue",
    "foreign": "orange",
    "orphan": "red",
    "reserved": "#6e7781",
    "unattributed": "#9ea7b1",
    "free": "transparent",
}
"""Every owner from the bottom of the stack up, and its colour."""
_MARGIN = f"min by (vllmd_engine) (vllmd_gpu_memory_restart_margin_bytes{{{GPUS}}})"


def memory_of_a_gpu() -> Panel:
    """Return the panel of one GPU, repeated for each: an area for each owner, and the bounds."""
    owned = "vllmd_gpu_memory_by_owner_bytes"
    areas = [
        Query(
            f'sum by (vllmd_engine) ({owned}{{owner="{owner}",{GPUS}}})',
            f"{{{{vllmd_engine}}}} {owner}" if owner in ("engine", "weights") else owner,
            colour=colour,
        )
        for owner, colour in OWNERS.items()
    ]
    return Panel(
        "GPU $gpu: whose its memory is",
        "All owners add up to the GPU. Dashed: all there is, and what each engine takes by its "
        "share. A red area below zero is missing for a restart. Orphan: a dead engine's, "
        "'vllmd gpu reap' ends it.",
        "bytes",
        [
            *areas,
            Query(
                f"max(vllmd_gpu_memory_total_bytes{{{GPUS}}})", "total", colour="text", dashed=True
            ),
            Query(
                f"sum by (vllmd_engine) (vllmd_gpu_memory_budget_bytes{{{GPUS}}})",
                "{{vllmd_engine}} budget",
                colour="dark-red",
                dashed=True,
            ),
            Query(
                f"({_MARGIN}) < 0",
                "{{vllmd_engine}} lacks for a restart",
                colour="red",
                alone=True,
            ),
            Query(
                f"max(vllmd_gpu_memory_floor_bytes{{{GPUS}}})",
                "kept free for the host",
                colour="purple",
                dashed=True,
            ),
        ],
        width=24,
        height=11,
        minimum=None,
        stacked=True,
        nothing="the GPU does not answer",
        repeat="gpu",
    )
