"""What one look at a running engine shows."""

import enum
from collections.abc import Mapping
from types import MappingProxyType

import attrs


class Answer(enum.StrEnum):
    """What became of the question for the engine's page."""

    PAGE = "page"
    REFUSED = "refused"
    """Nobody listens: the server is ending, or has ended."""
    NONE = "none"
    """No answer in time, or no sense in it: overloaded, or frozen."""


@attrs.frozen
class Rank:
    """One data-parallel rank: engine steps since its start, requests that run and that wait.

    Source: `vllm:iteration_tokens_total_count`, `vllm:num_requests_running`, `…_waiting`.
    """

    steps: float
    running: float
    waiting: float

    @property
    def has_work(self) -> bool:
        """Whether a step is to be expected."""
        return self.running + self.waiting > 0


@attrs.frozen
class Reading:
    """One look; `at` is monotonic, in seconds. Without a page there are no ranks."""

    at: float
    answer: Answer
    ranks: Mapping[str, Rank] = MappingProxyType({})
    sleeping: bool = False

    @property
    def running(self) -> int:
        """Requests that run, of all ranks."""
        return int(sum(rank.running for rank in self.ranks.values()))

    @property
    def waiting(self) -> int:
        """Requests that wait, of all ranks."""
        return int(sum(rank.waiting for rank in self.ranks.values()))


@attrs.frozen
class Activity:
    """What the processes of an engine have used since they began; none of it falls.

    `api_cpu_s` is the CPU time of the main process, the API server, `core_cpu_s` that of all
    others; `io_bytes` is what all of them read and wrote, files, sockets and pipes alike.
    `gpu_busy` is None where nobody knows.
    """

    api_cpu_s: float
    core_cpu_s: float
    io_bytes: int
    gpu_busy: bool | None = None
    gpu_memory_bytes: int | None = None
