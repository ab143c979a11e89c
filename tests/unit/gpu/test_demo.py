import os
import subprocess
import sys

import pytest

from tests.helpers.reading import reading
from vllmd.gpu.demo import NAME, TOTAL, UUID, DemoGpu
from vllmd.gpu.rows import ROWS


def test_demo_says_that_it_does_not_exist() -> None:
    with reading({}, source="demo") as reader:
        hello, (device,) = reader.next("hello"), reader.next("devices")["devices"]
        fast, slow = reader.next("fast"), reader.next("slow")
        assert reader.next("processes")["devices"][UUID]["processes"] == []
        assert reader.process.stdin is not None
        reader.process.stdin.close()
        assert reader.process.wait(10) == 0
    assert hello["source"] == "demo"
    assert device["name"] == NAME == "Demo GPU (no hardware)"
    known = {row.key for row in ROWS}
    assert set(fast["values"][UUID]) | set(slow["values"][UUID]) <= known


@pytest.mark.long
def test_core_of_an_engine_holds_memory_and_makes_it_busy() -> None:
    code = "import time\nprint(1, flush=True)\nwhile True: pass"
    core = subprocess.Popen(
        ["VLLM::EngineCore", "-c", code], executable=sys.executable, stdout=subprocess.PIPE
    )
    try:
        assert core.stdout is not None
        core.stdout.readline()
        gpu = DemoGpu(os.getpid())
        gpu.look()
        subprocess.run(["sleep", "0.3"], check=True)
        values = gpu.look()
        ((pid, size),) = gpu.processes()
        memory = gpu.listing()[UUID]
    finally:
        core.kill()
        core.wait()
    assert pid == core.pid
    assert 0.85 * TOTAL < size < TOTAL
    assert values["busy_ratio"] > 0
    assert values["power_watts"] > 100
    assert isinstance(memory, dict)
    about = memory["memory"]
    assert about["free"] + about["used"] + about["reserved"] == about["total"]
