"""The groups of a daemon: a part for each engine of several hosts, and who asks the others."""

import asyncio
import contextlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import attrs

from vllmd.config.command import Command, Commands
from vllmd.config.fleet import FleetConfig
from vllmd.config.group import ThisHost, common_hash, own_rank
from vllmd.config.model import Config, EngineConfig
from vllmd.config.stop_time import release_s
from vllmd.engine.group_interface import ALONE, EngineGroup
from vllmd.errors import ConfigError
from vllmd.fleet.pages import HostPages, PageAccess
from vllmd.groups.own import Identity, OwnEngine
from vllmd.groups.page import for_others
from vllmd.groups.part import GroupPart
from vllmd.groups.peers import PeerWatch
from vllmd.groups.rules import Limits
from vllmd.groups.version import installed_version, revision_of
from vllmd.groups.witness import connected_addresses
from vllmd.util.loop_lag import LoopLag
from vllmd.util.parts import Part
from vllmd.util.within import run_within

AGAIN_S = 30.0
"""How often what says as whom others are asked is read again, after it could not be used."""
NOT_TOLD = "'vllmd status' there says why"
"""In place of a problem that quotes something."""


class GroupsService:
    """The parts of this host; `page` is what others read."""

    def __init__(
        self,
        config: Config,
        commands: Commands,
        own: Callable[[str], OwnEngine],
        lag: LoopLag,
        mask: Callable[[str], str],
    ) -> None:
        """Make it; `mask` takes secrets out of what others read."""
        self._own, self._lag, self._mask = own, lag, mask
        self._fleet = FleetConfig()
        self._parts: dict[str, GroupPart] = {}
        self._given: dict[str, object] = {}
        self._followed: dict[str, _Following] = {}
        self._pages: HostPages | None = None
        self._made_for: FleetConfig | None = None
        self._problem = "not asked yet"
        self._tried_at = 0.0
        self._is_stale = False
        self._reading = asyncio.Lock()
        self.configure(config, commands)

    def configure(self, config: Config, commands: Commands) -> None:
        """Take over another configuration; what is known of a group that is the same stays.

        The files of passwords and certificates are read again.
        """
        self._fleet, self._is_stale = config.fleet, True
        parts = {}
        for name, engine in config.engines.items():
            part, rank = self._parts.get(name), own_rank(engine)
            if rank is None and part is not None and part.group == engine.group:
                rank = part.rank  # an interface that is down for a moment has no address
            if engine.group is None or rank is None:
                continue
            if part is None or self._given[name] != (engine.group, rank):
                part = GroupPart(name, engine.group, rank, self._lag, self._own_of(name))
                self._given[name] = engine.group, rank
                self._followed[name] = _Following(part, self._ask, self._refused)
            if part.program != commands[name].argv[0]:
                self._followed[name].forget_version()
            self._tell(part, engine, commands[name])
            parts[name] = part
        self._parts = parts
        self._followed = {name: self._followed[name] for name in parts}

    def _own_of(self, name: str) -> Callable[[], OwnEngine]:
        return lambda: self._own(name)

    @staticmethod
    def _tell(part: GroupPart, engine: EngineConfig, command: Command) -> None:
        part.limits = Limits(engine.liveness.stall_s, engine.liveness.hang_s)
        part.release_s = release_s(engine)
        part.program, part.api_port = command.argv[0], engine.port
        if part.ranks is not None:
            limits, probes = engine.liveness, part.ranks.probes
            probes.hang_s, probes.idle_s = limits.hang_s, limits.gpu_stall_s
            part.ends_hung = limits.restart_stalled
        common = common_hash(engine, command.argv, command.own_env)
        part.told = attrs.evolve(part.told, command_hash=common)
        part.find_revision = lambda: revision_of(engine, command.env)

    def of(self, name: str) -> EngineGroup:
        """Return the group of an engine; one of one host has none."""
        return self._parts.get(name, ALONE)

    def page(self, name: str, asked_by: str | None = None) -> Mapping[str, Any] | None:
        """Return what others read of an engine's part; None if it has none here.

        `asked_by` is the address that asks.

        It is empty until this daemon has looked whether the engine runs.
        """
        if (part := self._parts.get(name)) is None:
            return None
        if asked_by is not None:
            part.asked_by(asked_by)
        if not self._own(name).looked.is_set():
            return {}
        page = part.page()
        if page.problem and self._own(name).status.hold is None:
            page = attrs.evolve(page, problem=NOT_TOLD)  # it may quote a configuration or an error
        return for_others(page, self._mask).to_json()

    def parts(self) -> Iterator[Part]:
        """Yield what asks the others: for a group that is the same the same, which goes on."""
        for name in self._parts:
            yield Part(f"group:{name}", self._followed[name].run, engine=name)

    async def _ask(self) -> tuple[HostPages | None, str]:
        """Return what asks other hosts, made anew when its settings or their files may be others.

        One is made at a time, however many want it.
        """
        async with self._reading:
            now = self._lag.clock.monotonic()
            failed = self._pages is None and now - self._tried_at >= AGAIN_S
            if self._is_stale or self._made_for != self._fleet or failed:
                await self._read_access(now)
        return self._pages, self._problem

    async def _read_access(self, now: float) -> None:
        fleet, self._tried_at, self._is_stale = self._fleet, now, False
        try:
            made = HostPages(await PageAccess.of(fleet))
        except ConfigError as error:
            self._problem = str(error)
            if self._made_for == fleet:
                return  # what was read before may be right still
            made = None
        await self.close()
        self._pages, self._made_for = made, fleet

    def _refused(self) -> None:
        """Note that a host refuses the password or the certificate: read them again soon."""
        if self._lag.clock.monotonic() - self._tried_at >= AGAIN_S:
            self._is_stale = True

    async def close(self) -> None:
        """Ask nobody any more."""
        pages, self._pages = self._pages, None
        if pages is not None:
            with contextlib.suppress(OSError, RuntimeError):
                await pages.close()


class _Following:
    """Who asks the others of one group, and looks to whom the own run is connected."""

    def __init__(
        self, part: GroupPart, ask: Callable[[], Any], refused: Callable[[], None]
    ) -> None:
        self._part, self._ask, self._refused = part, ask, refused
        self._version_of: tuple[str, int | None] | None = None

    async def run(self) -> None:
        """Go on until cancelled; each host is asked by itself, so that a slow one delays none."""
        part = self._part
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._versions())
            tasks.create_task(self._witness())
            for peer in part.peers.values():
                tasks.create_task(self._follow(peer))
            if part.ranks is not None:
                tasks.create_task(part.ranks.run())

    def forget_version(self) -> None:
        """Have it read anew: what is to be started is another program."""
        self._version_of = None
        self._part.told = attrs.evolve(self._part.told, vllm=None)

    async def _versions(self) -> None:
        """Keep to the version that is there; a disk that hangs keeps nobody from the others."""
        while True:
            with contextlib.suppress(OSError):
                await self._look_at_version()
            await self._part.pause()

    async def _look_at_version(self) -> None:
        """Read which vLLM is there, for each program and each run: it may be replaced in between.

        Raises: OSError: the disk does not answer.
        """
        part = self._part
        program, of = part.program, (part.program, part.shim_pid)
        if of == self._version_of:
            return
        version, revision = await run_within(
            program, lambda: (installed_version(program), part.find_revision())
        )
        if part.program == program:
            own = Identity(part.told.command_hash, version, revision)
            part.told, self._version_of = own, of

    async def _follow(self, peer: PeerWatch) -> None:
        while True:
            await peer.ask(*await self._ask())
            if peer.refuses_access:
                self._refused()
            self._part.decide()
            await self._part.pause()

    async def _witness(self) -> None:
        part = self._part
        while True:
            await self._part.pause()
            if (shim_pid := part.shim_pid) is None:
                continue
            connected = None
            with contextlib.suppress(OSError):  # too many threads, or files, are there already
                connected = await asyncio.to_thread(_connected, shim_pid, part.api_port)
            for peer in part.peers.values():
                peer.look(connected)
            part.decide()


def _connected(shim_pid: int, api_port: int | None) -> frozenset[str] | None:
    """Return to whom else a run is connected; None if that is not known. Waits for the kernel."""
    connected = connected_addresses(shim_pid, api_port)
    own = ThisHost.look().all_addresses  # a bridge may have the same address on each host
    return None if connected is None else connected.difference(own)
