import subprocess
import sys

CODE = """
import os
from vllmd.demo.title import set_title
set_title("VLLM::EngineCore")
pid = os.getpid()
print(repr(open(f"/proc/{pid}/cmdline", "rb").read().rstrip(bytes(1))))
print(repr(open(f"/proc/{pid}/environ", "rb").read().strip(bytes(1))))
print(open(f"/proc/{pid}/comm").read().strip())
"""


def test_set_title_takes_the_place_of_arguments_and_environment() -> None:
    result = subprocess.run(
        [sys.executable, "-c", CODE], capture_output=True, text=True, check=True
    )
    assert result.stdout.splitlines() == ["b'VLLM::EngineCore'", "b''", "VLLM::EngineCor"]


UNKNOWN = """
import io
import vllmd.demo.title as title
title.open = lambda *_: io.BytesIO(b"1 (python3) R" + b" 0" * 41)  # as qemu-user has it
title.set_title("VLLM::EngineCore")
print(open("/proc/self/comm").read().strip())
"""


def test_set_title_where_the_arguments_are_not_told_sets_the_short_name() -> None:
    result = subprocess.run(
        [sys.executable, "-c", UNKNOWN], capture_output=True, text=True, check=True
    )
    assert result.stdout.splitlines() == ["VLLM::EngineCor"]
