"""An engine's page read as its heartbeat: where scraping and supervision meet."""

import contextlib
import json
import math
import re
from collections.abc import Callable, Mapping

import httpx

from vllmd.config.command import Command
from vllmd.config.group import ranks_behind
from vllmd.config.model import EngineConfig
from vllmd.engine.group_interface import ALONE, EngineGroup
from vllmd.engine.liveness.canary import Ask
from vllmd.engine.liveness.fresh_look import FreshLook, look
from vllmd.engine.liveness.rank_probe import RanksToAsk
from vllmd.engine.liveness.reading import PageAnswer, ProcessActivity, RankProgress, Reading
from vllmd.engine.output.run_output import read_new_lines
from vllmd.engine.probes.health import answers
from vllmd.engine.probes.port import owned_by_tree
from vllmd.engine.probes.sleep_routes import SleepRoutes
from vllmd.engine.usage import TreeActivity
from vllmd.errors import ScrapeError, VllmdError
from vllmd.logs.reader import LogReader
from vllmd.lora.service import LoraService
from vllmd.scrape.families import Family, parse_page
from vllmd.scrape.page import Page, PageSource
from vllmd.scrape.recent import RecentPages
from vllmd.shim.files import parse_json
from vllmd.util.clock import Clock
from vllmd.util.parts import PartRunner

STEPS = b"vllm:iteration_tokens_total_count"
RUNNING = b"vllm:num_requests_running"
WAITING = b"vllm:num_requests_waiting"
SLEEP = b"vllm:engine_sleep_state"
PROMPT_TOKENS = b"vllm:prompt_tokens_total"
GENERATION_TOKENS = b"vllm:generation_tokens_total"
MOST = 2.0**53
"""A count beyond this makes no sense; above it, floats are no whole numbers."""
CANARY_TIMEOUT_S = 3600.0
"""A canary waits as long as it takes: the judge decides, not the client."""

RANK_HEADER = "X-data-parallel-rank"
"""Source: vllm/entrypoints/generate/base/serving.py of 0.32."""
RANK_REFUSED = "data_parallel_rank"
"""What the refusal of a rank that there is not names (seen, vLLM 0.32)."""

_LATER = frozenset({408, 429, 500, 502, 503, 504})
"""Codes that say nothing lasting."""
Spent = Callable[[int, int], None]
"""Told the tokens of the prompt, and those that came, of a request of vllmd's own."""

_COUNTS = (STEPS, RUNNING, WAITING, PROMPT_TOKENS, GENERATION_TOKENS)
_FAMILIES = frozenset({STEPS.removesuffix(b"_count"), SLEEP, *_COUNTS})
_RANK = re.compile(rb'[{,]engine="([^"]*)"')
_AWAKE = re.compile(rb'sleep_state="awake"')
_ASLEEP = re.compile(rb'sleep_state="(?:(weights_offloaded)|(discard_all))"')


async def read(source: PageSource, recent: RecentPages, clock: Clock) -> Reading:
    """Read the page, whatever comes of it, and keep it among the `recent` ones.

    Without vLLM's own counts (`--disable-log-stats`) there are no ranks.
    """
    asked = source.lag.watched()
    try:
        page = await source.get()
    except ScrapeError as error:
        took_s = source.lag.watched() - asked
        if error.ours:
            return Reading(asked, PageAnswer.UNKNOWN, took_s=took_s, problem=str(error))
        return Reading(
            asked, PageAnswer.REFUSED if error.refused else PageAnswer.NONE, took_s=took_s
        )
    recent.add(page, clock.time())
    return parse_reading(page)


def parse_reading(page: Page) -> Reading:
    """Take the heartbeat out of a page that was read."""
    ranks, level = _parse(page.families)
    took_s = page.watched_until - page.watched_from
    sleeping = level is not None
    return Reading(page.watched_from, PageAnswer.PAGE, ranks, sleeping, level or 0, took_s)


def parse_ranks(page: str) -> Mapping[str, RankProgress]:
    """Take the ranks out of a page's lines."""
    return _parse(parse_page(page.encode(), "").families)[0]


def _parse(families: tuple[Family, ...]) -> tuple[Mapping[str, RankProgress], int | None]:
    """Return the ranks by name, and at which level one of them sleeps; None if none does."""
    values: dict[bytes, dict[str, float]] = {name: {} for name in _COUNTS}
    level: int | None = None
    for family in families:
        if family.name in _FAMILIES:
            level = _deeper(level, _take(family, values))
    prompt, generated = values[PROMPT_TOKENS], values[GENERATION_TOKENS]
    return {
        name: RankProgress(
            steps,
            values[RUNNING].get(name, 0.0),
            values[WAITING].get(name, 0.0),
            prompt.get(name, 0.0) + generated.get(name, 0.0),
        )
        for name, steps in values[STEPS].items()
    }, level


def _take(family: Family, values: dict[bytes, dict[str, float]]) -> int | None:
    """Add the samples of one family to `values`; return at which level one says that a rank sleeps.

    One that sleeps at level 0 (paused, all its memory kept) is awake 0 and nothing else. What is no
    count (not a number, below zero, beyond all measure) is taken for absent.
    """
    level: int | None = None
    for sample in family.samples:
        name = sample[: sample.index(b"{")]
        value = float(sample[sample.rindex(b" ") + 1 :])
        if name == SLEEP:
            level = _deeper(level, _level(sample, value))
        elif name in values and math.isfinite(value) and 0 <= value <= MOST:
            match = _RANK.search(sample)
            rank = match[1].decode(errors="replace") if match else "0"
            values[name][rank] = values[name].get(rank, 0.0) + value
    return level


def _level(sample: bytes, value: float) -> int | None:
    if value <= 0:
        return 0 if _AWAKE.search(sample) else None
    match = _ASLEEP.search(sample)
    return match.lastindex if match else None


def _deeper(one: int | None, other: int | None) -> int | None:
    return max((each for each in (one, other) if each is not None), default=None)


async def look_afresh(
    engine: EngineConfig, key: str | None, source: PageSource, parts: PartRunner, canary: bool
) -> FreshLook:
    """Have a process of its own look at an engine, with a canary of its own if one is wanted.

    One that cannot look is a part that failed: meanwhile no stall of the engine is found.
    """
    asked = None
    if canary:
        headers = {"Content-Type": "application/json", **_authorization(key)}
        body = json.dumps(_canary_of(engine))
        asked = {"method": "POST", "path": "/v1/completions", "headers": headers, "body": body}
    url = httpx.URL(engine.url)
    fresh = await look(
        url.host,
        engine.port,
        [name.decode() for name in _COUNTS],
        parse_ranks,
        source.lag,
        asked,
    )
    if fresh.answer is PageAnswer.UNKNOWN:
        parts.note(f"look:{engine.name}", VllmdError(fresh.problem), engine=engine.name)
    return fresh


async def send_canary(
    client: httpx.AsyncClient,
    engine: EngineConfig,
    key: str | None,
    spent: Spent = lambda *_: None,
) -> str | None:
    """Ask an engine for one token; `spent` is told what that took, if it came.

    Returns: None if it came, or was refused for the moment (503: too many requests wait); else
        what came instead.
    """
    response = await _post_canary(client, engine, key)
    if isinstance(response, str):
        return response
    busy = response.status_code == httpx.codes.SERVICE_UNAVAILABLE
    return None if busy else _problem(response, spent)


async def ask_rank(
    client: httpx.AsyncClient,
    engine: EngineConfig,
    key: str | None,
    rank: int | None,
    spent: Spent = lambda *_: None,
) -> str | None:
    """Ask a data parallel rank of an engine for one token, or any; `spent` as for a canary.

    Returns: None if it came; else what came instead.
    """
    response = await _post_canary(client, engine, key, rank)
    return response if isinstance(response, str) else _problem(response, spent)


async def heeds_ranks(
    client: httpx.AsyncClient,
    engine: EngineConfig,
    key: str | None,
    count: int,
    spent: Spent = lambda *_: None,
) -> bool | None:
    """Tell whether an engine of `count` ranks gives a request to the rank that it names.

    `spent` is told what that took, if it was answered.

    One that does refuses the rank that it has not, as a bad request; one that does not answers it.
    One that refuses it otherwise (it serves no completions, it wants another key) is not asked
    again either.

    Returns: None if that did not show: no answer came, or it has no room just now.
    """
    response = await _post_canary(client, engine, key, count)
    if isinstance(response, str) or response.status_code in _LATER:
        return None
    _problem(response, spent)
    return response.status_code == httpx.codes.BAD_REQUEST and RANK_REFUSED in response.text


async def _post_canary(
    client: httpx.AsyncClient, engine: EngineConfig, key: str | None, rank: int | None = None
) -> httpx.Response | str:
    """Return the answer to a request for one token; in words why there is none."""
    try:
        return await client.post(
            f"{engine.url}/v1/completions",
            json=_canary_of(engine),
            headers={**_authorization(key), **({} if rank is None else {RANK_HEADER: str(rank)})},
            timeout=CANARY_TIMEOUT_S,
        )
    except httpx.HTTPError as error:
        return repr(error)


def _problem(response: httpx.Response, spent: Spent) -> str | None:
    if not response.is_success:
        return f"HTTP {response.status_code}: {response.text[:200]}"
    with contextlib.suppress(ValueError, TypeError, KeyError):  # it says nothing of that
        usage = parse_json(response.text)["usage"]
        spent(int(usage["prompt_tokens"]), int(usage["completion_tokens"]))
    return None


def _canary_of(engine: EngineConfig) -> dict[str, object]:
    return {
        "model": engine.served_names[0],
        "prompt": "1",
        "max_tokens": 1,
        "temperature": 0,
    }


def _authorization(key: str | None) -> dict[str, str]:
    return {"authorization": f"Bearer {key}"} if key else {}


class EngineProbes:
    """What the supervisor of an engine asks of it; its pages are kept in `recent`."""

    def __init__(
        self,
        engine: EngineConfig,
        built: Command,
        source: PageSource,
        client: httpx.AsyncClient,
        clock: Clock,
        adapters: LoraService,
        recent: RecentPages,
        parts: PartRunner,
        printing: Callable[[str], str | None],
        group: EngineGroup = ALONE,
        spent: Spent = lambda *_: None,
    ) -> None:
        """Make them; `printing` returns the line that a run has begun and not ended."""
        self._group, self._spent = group, spent
        group.use_probe(self._ask_rank, self._heeds_ranks)
        self.printing = printing
        self._engine, self._key = engine, built.api_key
        self._source, self._client, self._clock = source, client, clock
        self._adapters, self._recent, self._parts = adapters, recent, parts
        self._tree = TreeActivity()
        self.sleep_routes = SleepRoutes(engine.url, client)
        # made once: a monitor takes another one for another canary, and begins it anew
        asks = engine.liveness.canary and not group.is_member
        self.canary: Ask | None = self._send_canary if asks else None
        """Sends a completion of one token; None if that is not wanted."""
        count = ranks_behind(engine)
        self.ranks = RanksToAsk(count, self._ask_rank, self._heeds_ranks) if count > 1 else None
        """The ranks behind its API server; None if it is one, or its group asks them."""

    async def _send_canary(self) -> str | None:
        return await send_canary(self._client, self._engine, self._key, self._spent)

    def gets_on(self) -> bool:
        """Tell whether its group is known to get on."""
        return self._group.gets_on()

    async def loading(self) -> bool:
        """Tell whether its API answers, and its adapters are loaded."""
        answer = await answers(self._client, self._engine.url)
        return answer and await self._adapters.settled(self._engine.name)

    async def serving(self) -> Reading:
        """Return what its page shows."""
        reading = await read(self._source, self._recent, self._clock)
        self._group.saw(reading)
        return reading

    async def _ask_rank(self, rank: int | None) -> str | None:
        return await ask_rank(self._client, self._engine, self._key, rank, self._spent)

    async def _heeds_ranks(self, count: int) -> bool | None:
        return await heeds_ranks(self._client, self._engine, self._key, count, self._spent)

    async def look_afresh(self, canary: bool) -> FreshLook:
        """Have a process of its own look."""
        return await look_afresh(self._engine, self._key, self._source, self._parts, canary)

    async def printed(self, log: LogReader) -> list[str]:
        """Return what it printed since it was asked last; the disk is waited for in a thread."""
        return await read_new_lines(log)

    def owns_port(self, shim_pid: int) -> bool | None:
        """Tell whether a process below that shim listens on its port; None if not known."""
        return owned_by_tree(shim_pid, port=self._engine.port)

    def activity(self, shim_pid: int, engine_pid: int) -> ProcessActivity | None:
        """Return what the processes below a shim, and the main one, have used."""
        return self._tree.read(shim_pid, engine_pid)

    def pages(self) -> bytes:
        """Return its pages of the last minutes, as text."""
        return self._recent.dump()

    def forget(self) -> None:
        """Forget what was read from it, and its adapters: the engine is gone."""
        self._source.forget()
        self._adapters.forget(self._engine.name)


class MemberProbes(EngineProbes):
    """Of a part of a group that has no API: nobody can ask it, and the head answers for it."""

    async def loading(self) -> bool:
        """Tell whether its head serves with it."""
        return await self._group.joined()

    async def serving(self) -> Reading:
        """Return a page without ranks: it has no requests of its own, and never stands still."""
        return Reading(self._source.lag.watched(), PageAnswer.PAGE)

    async def look_afresh(self, canary: bool) -> FreshLook:
        """Return that nothing answers: what is not joined yet is judged by what it moves."""
        return FreshLook(PageAnswer.REFUSED)

    def owns_port(self, shim_pid: int) -> bool | None:
        """Return that this is not known: it listens nowhere that is known."""
        return None
