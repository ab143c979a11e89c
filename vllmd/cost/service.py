"""What the engines cost: where pages, states and GPUs are wired to the meter."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import attrs
import structlog

from vllmd.config import paths
from vllmd.config.model import Config
from vllmd.cost import api_prices, gpu_shares
from vllmd.cost.day_files import DayFiles, merge
from vllmd.cost.meter import MILLION, GpuUse, Meter, Sample
from vllmd.cost.prices import Amount, Prices
from vllmd.cost.report import report
from vllmd.cost.snapshot import CostFigures
from vllmd.cost.usage import SECOND_NS, UNATTRIBUTED, Activity, Counters, Usage
from vllmd.cost.usage import total as total_of
from vllmd.engine.state_machine import State
from vllmd.engine.status import EngineStatus
from vllmd.events.base import emit
from vllmd.events.daemon import UsageFailed
from vllmd.gpu.latest import Device
from vllmd.gpu.service import GpuService
from vllmd.gpu.sources import DEMO, NONE
from vllmd.scrape.families import total
from vllmd.scrape.page import Page
from vllmd.util.clock import Clock, until_tick
from vllmd.util.disk_thread import DiskThread
from vllmd.util.parts import Part
from vllmd.util.state_file import READ_AGAIN_S, NotRead
from vllmd.util.units import DAY_S

WRITE_S = 60.0
"""A power cut loses the usage of so long at most."""
SERVES = frozenset({State.READY, State.SLEEPING, State.DRAINING})
PROMPT, GENERATION = b"vllm:prompt_tokens_total", b"vllm:generation_tokens_total"
CACHED = (b"vllm:prompt_tokens_cached_total", b"vllm:prefix_cache_hits_total")
FINISHED = b"vllm:request_success_total"
POWER, ENERGY = "power_watts", "energy_joules_total"

_log = structlog.get_logger()


class CostService:
    """Looks at every engine, and keeps what it used."""

    def __init__(
        self,
        config: Config,
        statuses: Callable[[], Sequence[EngineStatus]],
        status: Callable[[str], EngineStatus | None],
        gpus: GpuService,
        clock: Clock,
        disk: DiskThread,
        boot: str,
    ) -> None:
        """Make it; `boot` is the id of this boot, in which the monotonic clock is one."""
        self._statuses = statuses
        self._status = status
        self._gpus = gpus
        self._clock = clock
        self._disk = disk
        self._day_files = DayFiles(paths.state_dir(config), config.cost.keep_days)
        self._meter = Meter(self._wall_ns(), self._mono_ns(), boot)
        self._uses: Mapping[str, GpuUse] = {}
        self._resumed = False
        self._used: dict[tuple[str, Activity], Usage] = {}
        self._pruned_at = 0.0
        self.configure(config)

    def configure(self, config: Config) -> None:
        """Take over other settings: what was used is counted on, and priced anew."""
        self._config = config
        self._prices = Prices.of(config.cost)
        self._day_files.keep(config.cost.keep_days)

    # --- its life ----------------------------------------------------------------------------

    def parts(self) -> list[Part]:
        """Return what is to run."""
        return [Part("usage", self.run)]

    async def run(self) -> None:
        """Work until cancelled. Nothing is written before what was written is read."""
        while not self._resumed:
            self._resumed = await asyncio.to_thread(self._resume)
            if not self._resumed:
                await self._clock.sleep(READ_AGAIN_S)
        written_at = self._clock.monotonic() - WRITE_S
        while True:
            self._look()
            if self._clock.monotonic() - written_at >= WRITE_S:
                written_at = self._clock.monotonic()
                self._write()
            await self._clock.sleep(until_tick(self._clock, self._config.daemon.poll_s))

    def close(self) -> None:
        """Write down what was used until now."""
        if self._resumed:
            self._look()
            self._write()

    def _resume(self) -> bool:
        """Go on where an earlier daemon ended; tell whether that could be read."""
        resumed = self._day_files.read_state(self._meter.resume)
        if resumed is not False:
            return resumed is True
        # an earlier version kept it only in the days
        for day in reversed(self._day_files.days()):
            read = self._day_files.read_day(day)
            if isinstance(read, NotRead):
                return False
            if read[1] is None:
                continue
            try:
                self._meter.resume(read[1])
                break
            except (KeyError, ValueError, TypeError, AttributeError) as error:
                emit(_log, UsageFailed(day=day, problem=repr(error)))
        return True

    def _look(self) -> None:
        if not self._resumed:
            return
        statuses = [each for each in self._statuses() if each.name in self._config.engines]
        samples = {each.name: self._sample(each) for each in statuses}
        uses = self._look_at_gpus(statuses)
        complete = None not in samples.values() and self._gpus_known()
        before, self._meter.slots = self._meter.slots, {}
        self._meter.look(self._wall_ns(), self._mono_ns(), samples, uses, complete)
        for slot, usage in self._meter.slots.items():
            key = slot.engine, slot.activity
            self._used[key] = self._used.get(key, Usage()) + usage
        self._meter.slots = merge(before, self._meter.slots)

    def _sample(self, status: EngineStatus) -> Sample | None:
        if not status.looked_for:
            return None
        activity = Activity.DOWN
        if status.state in SERVES:
            activity = Activity.BUSY if status.requests_running else Activity.IDLE
        asleep = status.state is State.SLEEPING
        return Sample(activity, status.run_id, int((status.started_at or 0.0) * SECOND_NS), asleep)

    # --- what GPUs do ------------------------------------------------------------------------

    def _gpus_known(self) -> bool:
        """Tell whether it is known who is on the GPUs, or will not be known."""
        gpus = self._gpus
        return gpus.source == NONE or gpus.listings() is not None or gpus.reader.problem is not None

    def _look_at_gpus(self, statuses: Sequence[EngineStatus]) -> Mapping[str, GpuUse]:
        """Return who uses each GPU. While they are not read, that is as it was."""
        devices = self._gpus.latest.devices
        if not devices:
            self._uses = {
                uuid: attrs.evolve(use, energy_mj=None) for uuid, use in self._uses.items()
            }
            return self._uses
        places = self._places()
        divided = {device.parent for device in devices.values() if device.parent}
        self._uses = {
            device.uuid: self._use(device, statuses, places, device.uuid not in divided)
            for device in devices.values()
        }
        return self._uses

    def _places(self) -> dict[str, set[str]]:
        """Return the GPUs that each engine uses, or would use."""
        return {
            name: set()
            if engine.is_stand_in and self._gpus.source != DEMO
            else {device.uuid for device in self._gpus.gpus_of(engine)}
            for name, engine in self._config.engines.items()
        }

    def _use(
        self,
        device: Device,
        statuses: Sequence[EngineStatus],
        places: Mapping[str, set[str]],
        timed: bool,
    ) -> GpuUse:
        uuids = {device.uuid} | {
            each.uuid for each in self._gpus.latest.devices.values() if each.parent == device.uuid
        }
        holders = [holder for uuid in sorted(uuids) for holder in self._gpus.holders(uuid)]
        there = [each for each in statuses if places[each.name] & uuids]
        listing = (self._gpus.listings() or {}).get(device.uuid)
        size = listing.memory.total if listing else None
        held = gpu_shares.held(
            holders,
            {each.name for each in statuses if each.looked_for},
            {each.name for each in there if _waits(each)},
            {each.name for each in there if each.state is State.HELD},
            size,
            {each.name for each in there if each.state is State.SLEEPING},
        )
        computing = {each.name for each in statuses if each.requests_running or _loads(each)}
        values = self._gpus.values(device)
        energy = values.get(ENERGY)
        return GpuUse(
            held,
            gpu_shares.worked(held, computing),
            None if energy is None else round(energy * 1000),
            round(values.get(POWER, 0.0) * 1000),
            {
                each.name: _freed(each, size, len(places[each.name]))
                for each in there
                if size and each.state is State.SLEEPING
            },
            timed,
        )

    def _write(self) -> None:
        meter, day_files, now = self._meter, self._day_files, self._clock.time()
        today = int(now // DAY_S * DAY_S)
        ended = {slot: usage for slot, usage in meter.slots.items() if slot.hour < today}
        if ended and day_files.have(ended):
            meter.forget_before(today)
            self._disk.do(lambda: day_files.forget_before(today))
        slots, state = dict(meter.slots), meter.state()
        self._disk.do(lambda: day_files.write(slots, state, now), "usage")
        if now - self._pruned_at > DAY_S:
            self._pruned_at = now
            self._disk.do(lambda: day_files.prune(now))

    def page_read(self, name: str, page: Page) -> None:
        """Take the tokens that an engine has counted."""
        status = self._status(name)
        counters = counters_of(page)
        if status is None or status.run_id is None or status.started_at is None or not counters:
            return
        self._meter.count(name, status.run_id, int(status.started_at * SECOND_NS), counters)

    def asked(self, name: str, run_id: str, prompt: int, generated: int, requests: int) -> None:
        """Note tokens and requests of vllmd's own, which are no traffic."""
        self._meter.asked(name, run_id, Counters(prompt, 0, generated, requests))

    def _wall_ns(self) -> int:
        return int(self._clock.time() * SECOND_NS)

    def _mono_ns(self) -> int:
        return int(self._clock.monotonic() * SECOND_NS)

    # --- what others ask of it ---------------------------------------------------------------

    def figures(self) -> CostFigures:
        """Return what the page shows."""
        hourly = self._hourly()
        budget = self._config.cost.budget_million_tokens
        used = {
            (name, activity): self._used.get((name, activity), Usage())
            for name in self._config.engines
            for activity in Activity
        }
        unattributed = {
            name: total_of(usage for (engine, _), usage in self._used.items() if engine == name)
            for name in UNATTRIBUTED
        }
        return CostFigures(self._prices, budget, hourly, used, unattributed)

    def _hourly(self) -> dict[str, Amount]:
        idle_mw = self._meter.idle_mw
        return {
            name: self._prices.hourly(name, self._uses, idle_mw) for name in self._config.engines
        }

    async def report(self, since: float, until: float, compare: Sequence[str]) -> dict[str, Any]:
        """Return what each engine cost; `compare` names APIs.

        Raises: VllmdError: an API's price is not known.
        """
        own = self._config.cost.api
        chosen = dict(api_prices.find(compare, own))
        self._look()
        used = await asyncio.to_thread(self._day_files.read, since, until, dict(self._meter.slots))
        made = report(used, self._prices, since, until, chosen)
        hourly = {name: float(amount.all) for name, amount in self._hourly().items()}
        return {**made, "prices_known": self._prices.known, "cost_per_hour_now": hourly}


def counters_of(page: Page) -> Counters | None:
    """Return what an engine has counted; None if its page does not say (--disable-log-stats)."""
    prompt, generation = total(page.families, PROMPT), total(page.families, GENERATION)
    if prompt is None or generation is None:
        return None
    cached = next((c for name in CACHED if (c := total(page.families, name)) is not None), 0.0)
    finished = total(page.families, FINISHED) or 0.0
    return Counters(int(prompt), int(cached), int(generation), int(finished))


def _waits(status: EngineStatus) -> bool:
    """Tell whether an engine is to run, or runs, and nothing holds it back."""
    return status.run_id is not None or (status.wanted and status.state is not State.HELD)


def _freed(status: EngineStatus, gpu_bytes: int, gpus: int) -> int:
    """Return which part of a GPU an engine gave back, in millionths: of each of its GPUs alike."""
    freed = status.sleep.freed_bytes if status.sleep else None
    return min(MILLION, (freed or 0) // max(1, gpus) * MILLION // gpu_bytes)


def _loads(status: EngineStatus) -> bool:
    return status.state in (State.STARTING, State.LOADING)
