"""An engine's page read as its heartbeat: where scraping and supervision meet."""

import functools
import re

import httpx

from vllmd.adapters import Adapters
from vllmd.clock import Clock
from vllmd.config.command import Command
from vllmd.config.model import Engine
from vllmd.engine.liveness.activity import TreeActivity
from vllmd.engine.liveness.reading import Answer, Rank, Reading
from vllmd.engine.probes.health import answers
from vllmd.engine.probes.port import owned_by_tree
from vllmd.engine.watch import Probes
from vllmd.errors import ScrapeError
from vllmd.scrape.families import Family
from vllmd.scrape.page import Page, PageSource
from vllmd.scrape.recent import RecentPages

STEPS = b"vllm:iteration_tokens_total_count"
RUNNING = b"vllm:num_requests_running"
WAITING = b"vllm:num_requests_waiting"
SLEEP = b"vllm:engine_sleep_state"
CANARY_TIMEOUT_S = 3600.0
"""A canary waits as long as it takes: the judge decides, not the client."""

_FAMILIES = frozenset({STEPS.removesuffix(b"_count"), RUNNING, WAITING, SLEEP})
_RANK = re.compile(rb'[{,]engine="([^"]*)"')
_ASLEEP = re.compile(rb'sleep_state="(?:weights_offloaded|discard_all)"')


async def read(source: PageSource, recent: RecentPages, clock: Clock) -> Reading:
    """Read the page, whatever comes of it, and keep it among the `recent` ones.

    Without vLLM's own counts (`--disable-log-stats`) there are no ranks.
    """
    try:
        page = await source.get()
    except ScrapeError as error:
        refused = Answer.REFUSED if error.refused else Answer.NONE
        return Reading(clock.monotonic(), refused)
    recent.add(page, clock.time())
    return parse_reading(page)


def parse_reading(page: Page) -> Reading:
    """Take the heartbeat out of a page that was read."""
    values: dict[bytes, dict[str, float]] = {STEPS: {}, RUNNING: {}, WAITING: {}}
    sleeping = False
    for family in page.families:
        if family.name in _FAMILIES:
            sleeping = _take(family, values) or sleeping
    ranks = {
        name: Rank(steps, values[RUNNING].get(name, 0.0), values[WAITING].get(name, 0.0))
        for name, steps in values[STEPS].items()
    }
    return Reading(page.read_at, Answer.PAGE, ranks, sleeping)


def _take(family: Family, values: dict[bytes, dict[str, float]]) -> bool:
    """Add the samples of one family to `values`; tell whether one says that a rank sleeps."""
    sleeping = False
    for sample in family.samples:
        name = sample[: sample.index(b"{")]
        value = float(sample[sample.rindex(b" ") + 1 :])
        if name == SLEEP:
            sleeping = sleeping or (value > 0 and _ASLEEP.search(sample) is not None)
        elif name in values:
            match = _RANK.search(sample)
            rank = match[1].decode(errors="replace") if match else "0"
            values[name][rank] = values[name].get(rank, 0.0) + value
    return sleeping


async def send_canary(client: httpx.AsyncClient, engine: Engine, key: str | None) -> str | None:
    """Ask an engine for one token.

    Returns: None if it came, or was refused for the moment (503: too many requests wait); else
        what came instead.
    """
    body = {
        "model": engine.served_names[0],
        "prompt": "1",
        "max_tokens": 1,
        "temperature": 0,
    }
    headers = {"authorization": f"Bearer {key}"} if key else {}
    try:
        response = await client.post(
            f"{engine.url}/v1/completions", json=body, headers=headers, timeout=CANARY_TIMEOUT_S
        )
    except httpx.HTTPError as error:
        return repr(error)
    if response.is_success or response.status_code == httpx.codes.SERVICE_UNAVAILABLE:
        return None
    return f"HTTP {response.status_code}: {response.text[:200]}"


def probes(
    engine: Engine,
    built: Command,
    source: PageSource,
    client: httpx.AsyncClient,
    clock: Clock,
    adapters: Adapters,
    recent: RecentPages,
) -> Probes:
    """Return what the supervisor of an engine asks of it; its pages are kept in `recent`."""
    key = built.api_key

    async def loading() -> bool:
        return await answers(client, engine.url) and await adapters.settled(engine.name)

    def forget() -> None:
        source.forget()
        adapters.forget(engine.name)

    return Probes(
        loading=loading,
        serving=functools.partial(read, source, recent, clock),
        pages=recent.dump,
        owns_port=functools.partial(owned_by_tree, port=engine.port),
        forget=forget,
        activity=TreeActivity().read,
        canary=functools.partial(send_canary, client, engine, key)
        if engine.liveness.canary
        else None,
    )
