"""What the subcommands of `vllmd fleet` share: the hosts, their pages, and how vllmd is run there.

Without hosts in `[fleet]` this host is the fleet: its daemon is asked by its socket, and its
replicas are several engines that serve one model.
"""

import asyncio
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

import attrs
import click

from vllmd.config import load
from vllmd.config.fleet import FleetConfig, FleetHost
from vllmd.config.model import Config
from vllmd.config.problem import InvalidConfigError
from vllmd.control.client import ControlClient
from vllmd.errors import ConfigError, VllmdError
from vllmd.fleet.commands import HostCommandError, argv_for, run_on
from vllmd.fleet.hosts import fleet_hosts
from vllmd.fleet.pages import HostPageError, HostPages, PageAccess
from vllmd.util.threads import Threads

T = TypeVar("T")
Pages = Mapping[FleetHost, Mapping[str, Any] | Exception]
THIS_HOST = FleetHost("this-host")
PATH = "/status.json"
SHOWN_LINES = 3
"""Of what a command printed that failed: the last ones say why."""


@attrs.frozen
class FleetView:
    """The fleet as a command sees it."""

    config: Config
    hosts: tuple[FleetHost, ...]
    client: ControlClient

    @property
    def fleet(self) -> FleetConfig:
        """What is configured."""
        return self.config.fleet

    @property
    def is_one_host(self) -> bool:
        """Whether this host is all of it."""
        return self.hosts == (THIS_HOST,)

    def argv(self, host: FleetHost, words: Sequence[str]) -> list[str]:
        """Return the command line that runs vllmd with these words on a host."""
        if self.is_one_host:
            return argv_for(("vllmd",), host, words)
        return argv_for(self.fleet.command, host, words)

    async def run(self, host: FleetHost, words: Sequence[str], limit_s: float, /) -> str:
        """Run it, and return what it printed. Raises: HostCommandError: it failed."""
        argv = self.argv(host, words)
        if self.is_one_host:
            argv = [sys.executable, "-m", "vllmd", *words, "--socket", str(self.client.path)]
        result = await run_on(argv, limit_s)
        if result.code:
            said = " / ".join(result.output.splitlines()[-SHOWN_LINES:]) or "it printed nothing"
            raise HostCommandError(f"{host}: {' '.join(argv)} ended with {result.code}: {said}")
        return result.output

    @asynccontextmanager
    async def asking(self) -> AsyncIterator[Callable[[], Awaitable[Pages]]]:
        """Return what asks all hosts for their status, until the end of the block."""
        if self.is_one_host:
            yield self._local
            return
        # a name server that does not answer holds up no other host, nor the end
        asyncio.get_running_loop().set_default_executor(Threads(close_s=0))
        access = await PageAccess.of(self.fleet)
        async with HostPages(access) as pages:

            async def ask() -> Pages:
                found = await pages.all_json(self.hosts, PATH)
                return {host: _document(host, page) for host, page in found.items()}

            yield ask

    async def _local(self) -> Pages:
        try:
            return {THIS_HOST: await asyncio.to_thread(self.client.status)}
        except VllmdError as error:
            return {THIS_HOST: error}


def _document(
    host: FleetHost, page: Mapping[str, Any] | Exception
) -> Mapping[str, Any] | Exception:
    """Return a page, or the problem that it is none: nobody knows then what its host has."""
    if isinstance(page, Exception) or isinstance(page.get("engines"), list):
        return page
    return HostPageError(host, f"answers, but {PATH} has no engines: another version?", status=200)


def view_of(config_path: Path, client: ControlClient, *, skip: Sequence[str] = ()) -> FleetView:
    """Read the configuration, and return its fleet without the hosts that are left out.

    Raises: ConfigError: it cannot be used; click.UsageError: a host that is to be left out is none
        of it.
    """
    try:
        config, _ = load.load(config_path)
    except InvalidConfigError as error:
        raise ConfigError(f"{error}") from None
    hosts = fleet_hosts(config.fleet)
    known = {str(host): host for host in hosts}
    for name in skip:
        if name not in known:
            there = ", ".join(known) or "none"
            raise click.UsageError(f"--skip {name}: no host of that name; there are: {there}")
    left = tuple(host for host in hosts if str(host) not in skip)
    if hosts and not left:
        raise click.UsageError("--skip: no host is left")
    return FleetView(config, left or (THIS_HOST,), client)
