"""Keeps the workers of a vllm-router as the hosts' vllmd say that they are ready.

A worker is taken out when `/ready` turns red, which is `unready_s` before the engine refuses
requests, and put in when it is green again. A host that does not answer keeps what it has: the
router's own checks look at the worker itself.
Source: vllm-router 0.1.17: GET /list_workers, POST /add_worker?url=, /remove_worker?url=.
"""

import asyncio
from collections.abc import Sequence

import attrs
import httpx

from vllmd.errors import VllmdError
from vllmd.fleet.exports.services import ReplicaAddress
from vllmd.fleet.pages import HostPageError, HostPages
from vllmd.fleet.rolling import RollTold
from vllmd.shim.files import parse_json
from vllmd.util.clock import Clock

EVERY_S = 1.0
ADDING_S = 300.0
"""/add_worker answers when the router has found the worker healthy."""
ASK_S = 5.0


@attrs.define
class RouterFollower:
    """Compares what is ready with what the router has, again and again."""

    url: str
    replicas: Sequence[ReplicaAddress]
    pages: HostPages
    client: httpx.AsyncClient
    clock: Clock
    told: RollTold
    _adding: dict[str, asyncio.Task[None]] = attrs.field(factory=dict, init=False)
    _away: str = attrs.field(default="", init=False)
    _said: dict[str, str] = attrs.field(factory=dict, init=False)
    """What was told of a host or a worker, and holds still."""

    async def run(self) -> None:
        """Do it until it is cancelled."""
        try:
            while True:
                await self.step()
                await self.clock.sleep(EVERY_S)
        finally:
            for task in self._adding.values():
                task.cancel()

    async def step(self) -> None:
        """Look once, and change what is to be changed; the router's absence is told once.

        What cannot be done for one worker keeps nothing from the others.
        """
        ready = await asyncio.gather(*(self._ready(each) for each in self.replicas))
        try:
            known = await self._workers()
        except (httpx.HTTPError, VllmdError) as error:
            said = f"{self.url}: {_in_words(error)}"
            if said != self._away:
                self.told.line(said)
            self._away = said
            return
        if self._away:
            self.told.line(f"{self.url}: answers again")
        self._away = ""
        for replica, is_ready in zip(self.replicas, ready, strict=True):
            worker = f"http://{replica.netloc}"
            try:
                await self._have(worker, is_ready, known)
            except (httpx.HTTPError, VllmdError) as error:
                self._say(worker, f"{worker}: not taken out: {_in_words(error)}")
            else:
                self._say(worker, "")

    def _say(self, about: str, text: str) -> None:
        """Tell it, unless that was told last; nothing is told by an empty text."""
        if text and text != self._said.get(about):
            self.told.line(text)
        self._said[about] = text

    async def _ready(self, replica: ReplicaAddress) -> bool | None:
        """Return whether it is ready; None if its host does not say."""
        try:
            await self.pages.get(replica.host, f"/ready/{replica.engine.name}")
        except HostPageError as error:
            red = error.status == 503
            # an answer that is neither goes on until somebody mends it
            self._say(replica.name, str(error) if error.status and not red else "")
            return False if red else None
        self._say(replica.name, "")
        return True

    async def _workers(self) -> frozenset[str]:
        answer = await self.client.get(f"{self.url}/list_workers", timeout=ASK_S)
        answer.raise_for_status()
        try:
            found = parse_json(answer.content)["urls"]
            return frozenset(str(each).rstrip("/") for each in found)
        except (ValueError, KeyError, TypeError):
            raise VllmdError("answers /list_workers, but not as a vllm-router does") from None

    async def _have(self, worker: str, is_ready: bool | None, known: frozenset[str]) -> None:
        adding = self._adding.get(worker)
        if adding is not None and adding.done():
            del self._adding[worker]
            adding = None
        if is_ready is False and (worker in known or adding is not None):
            if adding is not None:
                adding.cancel()
            await self._post("remove_worker", worker, ASK_S)
            self.told.line(f"{worker}: out, its /ready is red")
        elif is_ready and worker not in known and adding is None:
            self._adding[worker] = asyncio.create_task(self._add(worker))

    async def _add(self, worker: str) -> None:
        try:
            await self._post("add_worker", worker, ADDING_S)
        except (httpx.HTTPError, VllmdError) as error:
            self.told.line(f"{worker}: not put in: {_in_words(error)}")
        else:
            self.told.line(f"{worker}: in")

    async def _post(self, action: str, worker: str, timeout_s: float) -> None:
        answer = await self.client.post(
            f"{self.url}/{action}", params={"url": worker}, timeout=timeout_s
        )
        if answer.status_code != 200:
            raise VllmdError(f"{action} was answered {answer.status_code}: {answer.text[:120]}")


def _in_words(error: Exception) -> str:
    return str(error) or type(error).__name__
