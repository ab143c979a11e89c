"""What one look at a running engine shows."""

import enum
from collections.abc import Mapping
from types import MappingProxyType

import attrs

QUIET_SHARE = 0.05
"""Below this share of one CPU nothing is computed: log lines, timers, a page that is rendered."""
LOADED_BYTES_PER_S = 64 * 1024
"""Above this a process other than the API server loads or sends something: an adapter, a cache."""
MOVED_BYTES_PER_S = 1024
"""Below this, bytes are heartbeats between processes and no model that loads."""
SHORTEST_S = 1.0
"""CPU time comes in steps of 10 ms: what was used in less time than this says nothing of a rate."""


def did_nothing(cpu_s: float, moved_bytes: int, seconds: float, bytes_per_s: float) -> bool:
    """Tell whether what processes used between two looks is nothing that counts as work.

    `cpu_s` and `moved_bytes` are what was used in that time; up to `bytes_per_s` bytes are nothing.
    """
    seconds = max(seconds, SHORTEST_S)
    return cpu_s <= QUIET_SHARE * seconds and moved_bytes <= bytes_per_s * seconds


class PageAnswer(enum.StrEnum):
    """What became of the question for the engine's page."""

    PAGE = "page"
    REFUSED = "refused"
    """Nobody listens: the server is ending, or has ended."""
    NONE = "none"
    """No answer in time, or no sense in it: overloaded, or frozen."""
    UNKNOWN = "unknown"
    """It could not be asked, or not in time: vllmd itself was late, or had no means to ask."""


@attrs.frozen
class RankProgress:
    """One data-parallel rank: engine steps since its start, requests that run and wait, tokens.

    Source: `vllm:iteration_tokens_total_count`, `vllm:num_requests_running`, `…_waiting`,
    `vllm:prompt_tokens_total` and `vllm:generation_tokens_total`.
    """

    steps: float
    running: float
    waiting: float
    tokens: float = 0.0

    @property
    def has_work(self) -> bool:
        """Whether a step is to be expected."""
        return self.running + self.waiting > 0

    def stands(self, before: "RankProgress") -> bool:
        """Tell whether there was no progress since `before`, and some is to be expected."""
        return self.has_work and (self.steps, self.tokens) == (before.steps, before.tokens)


@attrs.frozen
class Reading:
    """One look, begun at `at`, that took `took_s`; in watched seconds (`vllmd/util/loop_lag.py`).

    Without a page there are no ranks.
    """

    at: float
    answer: PageAnswer
    ranks: Mapping[str, RankProgress] = MappingProxyType({})
    sleeping: bool = False
    sleep_level: int = 0
    """At which it sleeps, if it does: 0 is paused, with all its memory."""
    took_s: float = 0.0
    problem: str = ""
    """With `PageAnswer.UNKNOWN`: why it could not be asked."""

    @property
    def until(self) -> float:
        """When all of it was there."""
        return self.at + self.took_s

    @property
    def running(self) -> int:
        """Requests that run, of all ranks."""
        return int(sum(rank.running for rank in self.ranks.values()))

    @property
    def waiting(self) -> int:
        """Requests that wait, of all ranks."""
        return int(sum(rank.waiting for rank in self.ranks.values()))


@attrs.frozen
class ProcessUse:
    """What one process of an engine has used since it began, with its children that have ended.

    `state` is the letter of `/proc/PID/stat`: R runs or would, D waits for a disk, T is stopped.
    """

    pid: int
    ppid: int
    cpu_s: float
    io_bytes: int
    state: str = "S"


@attrs.frozen
class GpuSample:
    """One reading of a GPU: ratios 0 to 1, watts; None where the GPU does not tell it.

    `at` is monotonic. `throttled` if power or heat keeps its clocks down.
    """

    at: float
    busy: float | None
    bus: float | None
    watts: float | None
    throttled: bool = False


@attrs.frozen
class GpuTrace:
    """What one GPU that an engine holds memory of showed from a monotonic time to another.

    `pids` are the engine's processes on it; `shared` if others hold memory there too that may have
    computed: an engine of vllmd that has no requests does not.
    """

    gpu: str
    since: float
    until: float
    samples: tuple[GpuSample, ...]
    pids: frozenset[int]
    shared: bool = False


@attrs.frozen
class ProcessActivity:
    """What the processes of an engine have used since they began; none of it falls.

    `api_cpu_s` is the CPU time of the main process, the API server, `core_cpu_s` that of all
    others; `io_bytes` is what all of them read and wrote, of files, and of sockets and pipes by
    `read` and `write`: what comes by `recv` and goes by `send` is not counted by the kernel.
    `gpu_busy` is None where nobody knows. `at` is when it was read, monotonic, in seconds: what was
    used counts whether the daemon was late or not. `processes` are those that live, without the API
    server; empty where they were not told apart.
    """

    api_cpu_s: float
    core_cpu_s: float
    io_bytes: int
    gpu_busy: bool | None = None
    gpu_memory_bytes: int | None = None
    at: float | None = None
    processes: tuple[ProcessUse, ...] = ()

    @property
    def waits_for_disk(self) -> bool:
        """Whether a process other than the API server waits for a disk, or a server's as on NFS."""
        return any(process.state == "D" for process in self.processes)

    @property
    def loaded_bytes(self) -> int:
        """What the processes other than the API server read and wrote."""
        return sum(process.io_bytes for process in self.processes)
