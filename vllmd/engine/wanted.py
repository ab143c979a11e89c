"""What is wanted of an engine: said at any moment, by people and by the daemon, never waited for.

Whoever keeps the engine looks at it, and is woken by each wish.
"""

from vllmd.engine.assembly import Assembly, EngineSettings
from vllmd.engine.engine_state import EngineState
from vllmd.engine.gpu_interface import refuse_restart
from vllmd.engine.liveness.rank_work import RankLooks
from vllmd.engine.operator_requests import OperatorRequests
from vllmd.engine.process.shim_client import ShimClient
from vllmd.engine.sleeping.sleeper import Sleeper
from vllmd.engine.state_machine import SERVING
from vllmd.engine.stopped_engines import StoppedEngines
from vllmd.engine.weights.keeper import WeightKeeper
from vllmd.errors import HeldError


class WantedEngine:
    """The wishes of one engine; its supervisor is one, and fulfils them."""

    weights: WeightKeeper
    sleeper: Sleeper
    _name: str
    _settings: EngineSettings
    _state: EngineState
    _parts: Assembly
    _stopped: StoppedEngines
    _client: ShimClient | None
    _requests: OperatorRequests
    _looks: RankLooks
    _wanted: bool
    _closing: bool
    _leaving: bool
    _restart: bool

    @property
    def is_wanted(self) -> bool:
        """Whether somebody wants it to run, as far as it may."""
        return self._wanted and not self._closing

    @property
    def has_served(self) -> bool:
        """Whether its run was ready."""
        return self._state.has_served

    @property
    def gpus_busy(self) -> bool | None:
        """Whether it computes; None if its GPUs are idle, and its processes not known to be so."""
        busy = self._settings.context.gpu.busy()
        return busy if busy is not False or self._looks.is_still(0, {}) else None

    @property
    def idle_ranks(self) -> frozenset[int]:
        """The data parallel ranks whose GPUs and processes are known to do nothing."""
        gpu, pids = self._settings.context.gpu, self._settings.context.gpu.rank_pids()
        return frozenset(r for r in gpu.idle_ranks() if self._looks.is_still(r, pids))

    def start(self) -> None:
        """Want the engine to run, at once; a hold and all failures are forgotten."""
        self._wanted = True
        self.weights.keep(stay=False)
        self.sleeper.started()
        self._parts.room.open()
        self._parts.restarter.forget_failures()
        self._settings.context.group.wished("restart" if self._restart else "start")
        self._requests.add()
        self._stopped.discard(self._name)

    def stop(self, *, keep_weights: bool = False) -> None:
        """Want the engine to end, and to stay so until `start` or the next boot."""
        self._wanted = self._restart = False
        self.weights.keep(stay=keep_weights)
        self._requests.add()
        self._stopped.add(self._name)

    def restart(self) -> None:
        """Want the engine to end and to run again.

        Raises: HeldError: it runs, and could not start again.
        """
        if (why := self._settings.start_nothing) and self._client is not None:
            raise HeldError(f"{self._name} runs, and would not start again: {why}")
        if self._state.state in SERVING:
            refuse_restart(self._settings.context.gpu, self._name)
        self._restart = True
        self.start()

    async def saved(self) -> None:
        """Write down what is wanted. Raises: OSError: the next daemon will not know it."""
        await self._stopped.save()
        await self.sleeper.saved()

    def close(self) -> None:
        """Want the engine to end because the daemon does; `run` returns when nothing is left."""
        self._closing = True
        self._requests.add()

    def leave(self) -> None:
        """Want nothing more of the engine: `run` returns, once no start or end is under way."""
        self._leaving = True
        self.sleeper.leave()
        self._requests.add()

    def dismiss(self) -> None:
        """Want the engine to end because it is not configured any more."""
        self._wanted = False
        self.close()

    def keep(self) -> None:
        """Want it again after `dismiss` or `leave`; an end under way is not broken off."""
        if self._closing:
            self._wanted = self._name not in self._stopped
        self._closing = self._leaving = False
        self._requests.add()

    @property
    def _may_start(self) -> bool:
        return self._wanted and not (self._closing or self._leaving or self._settings.start_nothing)

    @property
    def _must_stop(self) -> bool:
        return self._closing or self._restart or not self._wanted
