"""What the status document costs a host of 20 engines and 8 GPUs: CPU time of one answer, in parts.

The loop of the daemon does nothing else meanwhile. Six engines wait for their restart, six have 50
adapters. Prints one table.

Usage: python bench/status.py
"""

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.helpers.make import gpu_figures
from tests.helpers.status_scenes import NOW, Scene, adapters, device, failure, ready
from vllmd.engine.state_machine import State
from vllmd.util.redact import Redactor

ENGINES, GPUS, FAILING, LORA, TIMES = 20, 8, 6, 6, 20


def scene() -> Scene:
    """Return what such a host knows."""
    names = [f"engine-{number:02}" for number in range(ENGINES)]
    ended: dict[str, Any] = {"last_exit": failure(12), "first_failure": failure(190, "first")}
    waits: dict[str, Any] = {
        "state": State.BACKOFF,
        "since": NOW - 12,
        "restarts": 3,
        "next_start_at": NOW + 28,
    }
    engines = [ready(name, **ended) for name in names]
    engines[-FAILING:] = [attrs.evolve(each, **waits) for each in engines[-FAILING:]]
    devices = [device(number, *names[2 * number : 2 * number + 2]) for number in range(GPUS)]
    return Scene(
        engines,
        gpu_figures(*devices),
        [adapters(name, 50) for name in names[:LORA]],
        busy=dict.fromkeys(names, 100.0),
        folders={"state": Path("/tmp"), "logs": Path("/var")},
    )


def cpu_ms(work: Callable[[], Any]) -> float:
    """Return the CPU time of it, in milliseconds, once it was done before."""
    work()
    began = time.process_time()
    for _ in range(TIMES):
        work()
    return (time.process_time() - began) / TIMES * 1000


def main() -> None:
    """Measure and print."""
    redactor = Redactor([f"secret-value-{number}" for number in range(5)])
    service = scene().service(redactor.value)
    document = service.document()

    def masked_first() -> None:
        redactor.learn([f"secret-value-{number}" for number in range(5)])
        redactor.value(document)

    def made() -> bytes:
        service.forget()
        return service.local_answer()

    print(f"{ENGINES} engines, {GPUS} GPUs, {len(made()) / 1000:.0f} kB; ms of CPU time")
    rows: dict[str, Callable[[], Any]] = {
        "the document": service.document,
        "its secrets, for the first time": masked_first,
        "its secrets, as again each time": lambda: redactor.value(document),
        "an answer that is made": made,
        "an answer that is kept": service.local_answer,
    }
    for what, work in rows.items():
        print(f"{what:34} {cpu_ms(work):6.2f}")


if __name__ == "__main__":
    main()
