"""`vllmd fleet`: several hosts, or several engines of one, that serve one model."""

import click

from vllmd.cli import fleet_export, fleet_restart, fleet_status
from vllmd.cli.options import CommandGroup


@click.group(cls=CommandGroup)
def command() -> None:
    """Look at replicas of a model behind one address, and restart them one after another.

    The hosts are those of [fleet] in the configuration; without any, this host's engines that serve
    the same model are the replicas. docs/several-hosts.md begins at two hosts.
    """


for each in (
    fleet_status.status,
    fleet_restart.restart,
    fleet_restart.upgrade,
    fleet_export.export,
    fleet_export.follow_router,
):
    command.add_command(each)
