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
