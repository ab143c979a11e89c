"""vLLM's routes of sleep, played by a test."""

import asyncio

from vllmd.engine.probes.sleep_routes import NotHeardError, SleepRouteError


class FakeRoutes:
    """An engine that falls asleep and wakes at once, unless a test says otherwise."""

    def __init__(self) -> None:
        self.asleep: bool | None = False
        self.asked: list[str] = []
        self.fails: dict[str, SleepRouteError] = {}
        self.cut: dict[str, bool] = {}
        """What is asked over a connection that fails, and whether it is done all the same."""
        self.held: asyncio.Event | None = None
        """Holds up what is asked until it is set."""

    async def is_asleep(self) -> bool | None:
        if error := self.fails.get("is_asleep"):
            raise error
        return self.asleep

    async def sleep(self, level: int) -> None:
        await self._do(f"sleep {level}", asleep=True)

    async def wake(self, level: int) -> None:
        await self._do(f"wake {level}", asleep=False)

    async def reload_weights(self) -> None:
        await self._do("reload")

    async def _do(self, what: str, *, asleep: bool | None = None) -> None:
        self.asked.append(what)
        if self.held is not None:
            await self.held.wait()
        name = what.split(maxsplit=1)[0]
        if error := self.fails.get(name):
            raise error
        done = self.cut.pop(name, None)
        if asleep is not None and done is not False:
            self.asleep = asleep
        if done is not None:
            raise NotHeardError(f"POST /{name}: ReadError('')")
