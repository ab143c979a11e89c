"""Two GPUs of a scripted NVIDIA library that follow what two stand-in engines do."""

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path

from tests.helpers.background import Background
from tests.helpers.nvml import UUID, FakeNvml, h200
from tests.helpers.site import Site
from vllmd.errors import DaemonUnreachableError

SECOND = UUID[:-4] + "b0b0"
EVERY_S = 0.5
IDLE_W, BUSY_W = 78.0, 640.0
MOST_REQUESTS = 8
NO_ACTION = "1 0"
"""NVML's field of what the driver asks for: a number, 0."""


class DemoGpus:
    """GPU 0 is of the first engine, GPU 1 of the second."""

    def __init__(self, folder: Path, shares: dict[str, float]) -> None:
        """Make them; `shares` is how much of its GPU each engine takes, 0 to 1."""
        self._shares = shares
        self.fake = FakeNvml(
            folder,
            h200() | {"gpu.0.field.230": NO_ACTION},
            h200(1, SECOND, pci="00000000:00:07.0") | {"gpu.1.field.230": NO_ACTION},
        )
        self._energy_mj = [0.0] * len(shares)
        for index in range(len(shares)):
            self.fake.uses(index=index)

    @contextlib.contextmanager
    def following(self, made: Site) -> Iterator[None]:
        """Let them follow a site until the block ends."""
        with Background([lambda: self._follow(made)]):
            yield
        for index in range(len(self._shares)):  # a stop waits for it
            self.fake.uses(index=index)

    def _follow(self, made: Site) -> None:
        for index, name in enumerate(self._shares):
            with contextlib.suppress(DaemonUnreachableError):
                self._follow_engine(made, index, name)
        time.sleep(EVERY_S)

    def _follow_engine(self, made: Site, index: int, name: str) -> None:
        engine = made.engine(name)
        total = int(str(self.fake.script[f"gpu.{index}.memory"]).split()[0])
        cores = [
            stat.pid
            for title, stat in (made.tree(name) if engine["shim_pid"] else {}).items()
            if title.startswith("VLLM::EngineCore")
        ]
        self.fake.uses(*((pid, int(self._shares[name] * total)) for pid in cores), index=index)
        busy = min(1.0, (engine["requests_running"] or 0) / MOST_REQUESTS) ** 0.5
        power_w = IDLE_W + (BUSY_W - IDLE_W) * busy
        self._energy_mj[index] += 1000 * power_w * EVERY_S
        prefix = f"gpu.{index}"
        self.fake.change_keys(
            {
                f"{prefix}.utilization": f"{round(98 * busy)} {round(41 * busy)}",
                f"{prefix}.power": round(1000 * power_w),
                f"{prefix}.energy": round(self._energy_mj[index]),
                f"{prefix}.temperature": round(34 + 31 * busy),
            }
        )
