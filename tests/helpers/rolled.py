"""Hosts whose engines load for a while once they are restarted, and note who serves."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tests.helpers.clock import FakeClock
from vllmd.config.fleet import FleetHost
from vllmd.errors import VllmdError
from vllmd.fleet.rolling import RollingRestart, RollingSettings

A, B, C = (FleetHost(name) for name in "abc")
LOAD_S = 5.0
SETTINGS = RollingSettings(min_ready=1, settle_s=10, timeout_s=100)


def engine(name: str = "chat", **more: Any) -> dict[str, Any]:
    known = {"state": "ready", "up": True, "wanted": True, "started_at": 1.0, "last_exit": None}
    return {"name": name, "served_names": ["tiny"], **known, **more}


class Hosts:
    """Hosts whose engines load for a while once they are restarted, and note who serves."""

    def __init__(self, **engines: Any) -> None:
        self.clock = FakeClock()
        self.engines = {FleetHost(name): list(found) for name, found in engines.items()}
        self.asked: list[tuple[str, ...]] = []
        self.least_up = 99
        self.silent: dict[FleetHost, VllmdError] = {}
        self.on_restart: Callable[[dict[str, Any]], None] = lambda _: None
        self.on_ready: Callable[[dict[str, Any]], None] = lambda _: None
        self.takes_version = True
        self.error: VllmdError | None = None
        self.lines: list[str] = []
        self.load_s = LOAD_S
        self._ready_at: dict[int, float] = {}
        self._installed: dict[int, str] = {}

    def line(self, text: str) -> None:
        self.lines.append(text)

    def now(self, text: str) -> None:
        pass

    async def pages(self) -> Mapping[FleetHost, Any]:
        for found in self.engines.values():
            for each in found:
                due = self._ready_at.get(id(each))
                if due is not None and self.clock.now >= due:
                    del self._ready_at[id(each)]
                    each.update(state="ready", up=True)
                    self.on_ready(each)
        ups = sum(each["up"] for found in self.engines.values() for each in found)
        self.least_up = min(self.least_up, ups)
        return {
            host: self.silent.get(host)
            or {"at": self.clock.now, "engines": [dict(each) for each in found]}
            for host, found in self.engines.items()
        }

    async def run(self, host: FleetHost, words: Sequence[str], _limit_s: float, /) -> str:
        self.asked.append((str(host), *words))
        if self.error:
            raise self.error
        if words[0] == "engine" and self.takes_version:
            for each in self.engines[host]:
                self._installed[id(each)] = words[2]
        if words[0] == "restart":
            (found,) = [each for each in self.engines[host] if each["name"] == words[1]]
            found.update(state="loading", up=False, started_at=self.clock.now)
            self._take_installed(words[1], found)
            self._ready_at[id(found)] = self.clock.now + self.load_s
            self.on_restart(found)
        return ""

    def _take_installed(self, name: str, head: dict[str, Any]) -> None:
        """Have all parts of what is restarted run what is installed on their hosts."""
        group = head.get("group", {}).get("id")
        for each in (each for found in self.engines.values() for each in found):
            version = self._installed.get(id(each))
            if version is None or each["name"] != name:
                continue
            if each is head:
                each["vllm_version"] = version
            elif group is not None and each.get("group", {}).get("id") == group:
                each["group"] = {**each["group"], "vllm": version}

    def rolling(self, name: str = "chat", **more: Any) -> RollingRestart:
        settings = more.pop("settings", SETTINGS)
        return RollingRestart(name, self.pages, self.run, settings, self.clock, self, **more)

    async def until(self, at: float) -> None:
        """Let what goes on go on, until the clock shows `at`."""
        while self.clock.now < at:
            await self.clock.advance(1)

    async def roll(self, rolling: RollingRestart) -> None:
        """Run it whole, while time goes by."""

        async def whole() -> None:
            await rolling.go(await rolling.plan())

        task = asyncio.ensure_future(whole())
        while not task.done():
            await self.clock.advance(1)
        await task


def restarted(hosts: Hosts) -> list[str]:
    return [" ".join(words) for words in hosts.asked]
