"""`vllmd fleet export` and `follow-router`: what balancers and Prometheus need of a fleet."""

import asyncio
from pathlib import Path

import click
import httpx

from vllmd.cli import terminal
from vllmd.cli.fleet_asking import FleetView, view_of
from vllmd.cli.options import complete_engine, config_option, json_option, socket_option
from vllmd.cli.writing import output_option, write_all
from vllmd.config.fleet import FleetHost
from vllmd.control.client import ControlClient
from vllmd.fleet.exports import haproxy, nginx, prometheus, router, systemd
from vllmd.fleet.exports.services import FIRST_PORT, FleetService, services
from vllmd.fleet.pages import HostPages, PageAccess
from vllmd.fleet.router import RouterFollower
from vllmd.util.clock import SystemClock

FORMATS = ("haproxy", "nginx", "router", "prometheus", "systemd")


@click.command()
@click.argument("form", metavar="FORMAT", type=click.Choice(FORMATS))
@click.argument("engine", required=False, shell_complete=complete_engine)
@click.option(
    "--port",
    type=click.IntRange(1, 65535),
    default=FIRST_PORT,
    show_default=True,
    help="Where clients ask; of several models the first one's, the next have the next ones.",
)
@config_option
@socket_option
@output_option
@json_option
def export(
    client: ControlClient,
    config_path: Path,
    form: str,
    engine: str | None,
    port: int,
    output: str | None,
    as_json: bool,
) -> None:
    """Write a balancer's or Prometheus' configuration of the hosts, or units for systemd.

    FORMAT is haproxy, nginx, router (vllm-router), prometheus or systemd (a rolling restart by a
    timer). Each model is an address of its own; with ENGINE only that one. Written to a folder, or
    to standard output.
    """
    view = view_of(config_path, client)
    files = _files(form, view, services(view.config, _hosts(view), engine, port))
    if output is not None:
        write_all(output, files, as_json=as_json)
        return
    for name, text in files.items():
        if len(files) > 1:
            terminal.echo(f"# --- {name}")
        terminal.echo_text(text, nl=False)


def _hosts(view: FleetView) -> tuple[FleetHost, ...]:
    """Return the hosts; this one alone is asked where its own clients do."""
    if not view.is_one_host:
        return view.hosts
    return (FleetHost("127.0.0.1", view.config.daemon.listen[1]),)


def _files(form: str, view: FleetView, found: list[FleetService]) -> dict[str, str]:
    if form == "haproxy":
        is_open = view.config.daemon.open_readiness
        return {"vllmd.cfg": haproxy.text(view.fleet, found, open_readiness=is_open)}
    if form == "nginx":
        return {"vllmd.conf": nginx.text(found)}
    if form == "router":
        return router.files(found)
    if form == "systemd":
        return systemd.files(found)
    return prometheus.files(view.fleet, _hosts(view))


class _JournalLines:
    """Prints each line: it is read in a journal."""

    def line(self, text: str) -> None:
        terminal.echo(text)

    def now(self, text: str) -> None:
        """Say nothing of a moment."""


@click.command("follow-router")
@click.argument("engine", shell_complete=complete_engine)
@click.option(
    "--router",
    "url",
    required=True,
    metavar="URL",
    help="The vllm-router, such as http://127.0.0.1:8080.",
)
@config_option
@socket_option
def follow_router(client: ControlClient, config_path: Path, engine: str, url: str) -> None:
    """Keep the workers of a vllm-router as /ready of the hosts says, until Ctrl-C.

    A replica is taken out before it refuses requests, and put in when it serves. A host that does
    not answer changes nothing. 'vllmd fleet export router' writes the units.
    """
    view = view_of(config_path, client)
    (service,) = services(view.config, _hosts(view), engine)
    asyncio.run(_follow(view, service, url.rstrip("/")))


async def _follow(view: FleetView, service: FleetService, url: str) -> None:
    access = await PageAccess.of(view.fleet)
    async with HostPages(access) as pages, httpx.AsyncClient(trust_env=False) as client:
        follower = RouterFollower(
            url, service.replicas, pages, client, SystemClock(), _JournalLines()
        )
        await follower.run()
